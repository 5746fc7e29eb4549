"""Steering a simulation from another thread: what hands do goes in, what each frame contains comes out.

The window's thread gives increments (`Steering.steer`) and speeds that last while a key is held (`Steering.hold`); the
thread that renders takes both for its next frame. Every frame leaves a `SteeredView` behind, looked up by the frame's
number, so that what is drawn over a picture belongs to exactly that picture.
"""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from dataclasses import dataclass, field, fields

from puncta.core.ports import Clock, SystemClock
from puncta.formats.attempt import AttemptEvent, AttemptSummary
from puncta.sim.controls import STILL, Controls
from puncta.sim.pose import SceneState
from puncta.sim.tissue_kinds import Tissue

KEPT_VIEWS = 240
"""Views of so many last frames are kept; far more than lie between rendering and painting."""
KEPT_INPUTS = 2000
DECIMALS = 5
"""Increments are rounded to so many decimals, so that a script of short figures repeats a session to the byte."""
AMOUNTS: tuple[str, ...] = tuple(f.name for f in fields(Controls) if not isinstance(getattr(STILL, f.name), bool))
"""Names of the controls that are quantities; the others are events."""

PointPx = tuple[float, float]


@dataclass(frozen=True, slots=True)
class NeedleView:
    """The needle on one frame, as the hands that hold it know it.

    Attributes
    ----------
    entry_px : point
        Where the axis meets the skin, projected onto the image plane [px]; may lie beside the picture.
    towards : (x, y)
        Direction of the axis in the picture, pointing inwards; a unit vector, or (0, 0) where the needle runs straight
        across the plane.
    angle_deg, azimuth_deg : float
        Downward angle against the skin; direction seen from above [deg], 0 to the picture's right, 90 away from the
        viewer, counted from -180 to 180.
    way_mm : float
        Length past the skin [mm]; 0 or less is outside.
    tip_px : point or None
        The tip, projected onto the image plane [px]; None while it is outside.
    tip_behind_mm, entry_behind_mm : float
        Distance of tip and entry from the image plane [mm], positive behind it (away from the viewer).
    crossing_px : point or None
        Where the straight axis crosses the image plane ahead of the entry [px]; None where it runs along the plane.
    """

    entry_px: PointPx
    towards: tuple[float, float]
    angle_deg: float
    azimuth_deg: float
    way_mm: float
    tip_px: PointPx | None
    tip_behind_mm: float
    entry_behind_mm: float
    crossing_px: PointPx | None = None


@dataclass(frozen=True, slots=True)
class TargetView:
    """The target on one frame.

    Attributes
    ----------
    centre_px, radius_px : point, float
        Its projection onto the image plane [px].
    behind_mm : float
        Distance of its centre from the image plane [mm], positive behind it.
    from_tip_mm : float or None
        Distance of the tip from its centre [mm]; None while the needle is outside.
    """

    name: str
    centre_px: PointPx
    radius_px: float
    radius_mm: float
    behind_mm: float
    from_tip_mm: float | None


@dataclass(frozen=True, slots=True)
class AttemptView:
    """How the attempt stands on one frame.

    Attributes
    ----------
    seconds : float or None
        Since first skin contact [s]; None before it. It stops at Done.
    start_ns : int
        Time of first skin contact [ns]; 0 before it.
    done : bool
        The trainee has declared the attempt finished.
    in_target, reached : bool
        The tip is, and was, in the target.
    summary : AttemptSummary or None
        Figures at the end; None before it.
    """

    seconds: float | None = None
    start_ns: int = 0
    done: bool = False
    in_target: bool = False
    reached: bool = False
    events: tuple[AttemptEvent, ...] = ()
    summary: AttemptSummary | None = None


@dataclass(frozen=True, slots=True)
class SteeredView:
    """Everything the window may know about one steered frame; never pixels.

    Attributes
    ----------
    tissue : Tissue or None
        Where the tip is; None while it is outside.
    pushed : bool
        The needle is pushed against something that does not give way.
    tenting_mm : float
        How far tissue ahead of the tip is pushed in before it gives way [mm].
    lost_contact : bool
        The probe's face has left the skin.
    """

    index: int
    t_ns: int
    state: SceneState
    mm_per_px: float
    region: tuple[int, int, int, int]
    target: TargetView
    needle: NeedleView | None
    tissue: Tissue | None
    pushed: bool
    tenting_mm: float
    lost_contact: bool
    attempt: AttemptView = field(default_factory=AttemptView)


class Steering:
    """The mailbox between the hands and the simulation. Safe from any thread.

    Parameters
    ----------
    clock : Clock
        Stamps inputs that come without a time.
    can_fire : bool
        The procedure has a biopsy gun.
    """

    def __init__(self, clock: Clock | None = None, *, can_fire: bool = False) -> None:
        self.can_fire = can_fire
        self._clock = clock or SystemClock()
        self._lock = threading.Lock()
        self._gathered = STILL
        self._speeds = STILL
        self._fresh: set[str] = set()
        self._owed: dict[str, float] = {}
        self._waiting_ns: list[int] = []
        self._inputs: deque[tuple[int, int]] = deque(maxlen=KEPT_INPUTS)
        self._views: OrderedDict[int, SteeredView] = OrderedDict()
        self._moves: list[Controls] = []

    def steer(self, controls: Controls, t_ns: int | None = None) -> None:
        """Add increments; the next rendered frame takes all that has gathered.

        Parameters
        ----------
        t_ns : int or None
            When the hand moved [ns, monotonic]; now where None.
        """
        with self._lock:
            self._gathered = self._gathered + controls
            self._waiting_ns.append(self._clock.now_ns() if t_ns is None else t_ns)

    def hold(self, per_second: Controls, t_ns: int | None = None) -> None:
        """Move steadily from now on until the next call, by these amounts a second; events in it are ignored.

        The way depends on the simulation's own time, never on how often a key repeats. A tap that begins and ends
        between two frames moves by one frame's worth.
        """
        with self._lock:
            if per_second == self._speeds:
                return
            for name in AMOUNTS:
                was, now = getattr(self._speeds, name), getattr(per_second, name)
                if was and not now and name in self._fresh:
                    self._owed[name] = self._owed.get(name, 0.0) + was
                if now != was:
                    self._fresh.add(name)
            self._speeds = per_second
            self._waiting_ns.append(self._clock.now_ns() if t_ns is None else t_ns)

    def take(self, index: int, dt_s: float) -> Controls:
        """Take what frame ``index`` is to contain, ``dt_s`` [s] after the frame before. For the rendering thread."""
        with self._lock:
            gathered, self._gathered = self._gathered, STILL
            owed, self._owed = self._owed, {}
            self._fresh.clear()
            values = {
                name: round(
                    getattr(gathered, name) + (getattr(self._speeds, name) + owed.get(name, 0.0)) * dt_s, DECIMALS
                )
                for name in AMOUNTS
            }
            self._inputs.extend((index, t_ns) for t_ns in self._waiting_ns)
            self._waiting_ns.clear()
            controls = Controls(**values, fire=gathered.fire and self.can_fire, done=gathered.done)
            # Hours of still hands must not fill the memory, so they all share one value.
            controls = STILL if controls == STILL else controls
            self._moves.append(controls)
            return controls

    def leave(self, view: SteeredView) -> None:
        """Keep what is known about a rendered frame."""
        with self._lock:
            self._views[view.index] = view
            while len(self._views) > KEPT_VIEWS:
                self._views.popitem(last=False)

    def view(self, index: int) -> SteeredView | None:
        """What is known about a frame; None where it is not among the last ones."""
        with self._lock:
            return self._views.get(index)

    def moves(self) -> tuple[Controls, ...]:
        """The controls of every frame so far, from frame 0."""
        with self._lock:
            return tuple(self._moves)

    def inputs_until(self, index: int) -> list[int]:
        """Take the times [ns, monotonic] of all inputs that the frames up to ``index`` contain, each once."""
        with self._lock:
            found: list[int] = []
            while self._inputs and self._inputs[0][0] <= index:
                found.append(self._inputs.popleft()[1])
            return found
