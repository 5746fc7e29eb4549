"""Addresses of the simulator, ``sim:breast?seed=1&steer=yes``: what they ask for, and what is wrong in them."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from typing import Literal
from urllib.parse import parse_qsl

from puncta.core.errors import UserError
from puncta.sim.anatomy.options import WEIGHT_KG, SubjectOptions
from puncta.sim.cine import CineGenerator
from puncta.sim.machines import PRESETS
from puncta.sim.subject import PROCEDURES

SCHEME = "sim:"
DEFAULT_SIZE_PX = (640, 480)
KEYS = (
    "seed",
    "machine",
    "size",
    "needle",
    "frames",
    "furniture",
    "start",
    "view",
    "approach",
    "weight",
    "level",
    "condition",
    "lesion",
    "fps",
    "steer",
)
APPROACHES = ("in-plane", "out-of-plane")
STARTS = ("any", "outside", "inside")
FPS_RANGE = (5, 60)
SIZE_RANGE_PX = (64, 2048)
LARGEST_SEED = 2**63 - 1


@dataclass(frozen=True, slots=True)
class SimulationRequest:
    """What a simulator's address asks for.

    Attributes
    ----------
    size_px : (width, height) or None
        None is the machine's own screen.
    frames : int or None
        None runs for ever.
    approach : str or None
        How the needle lies to the picture's plane; None is the procedure's usual way.
    options : SubjectOptions
        Wishes for the subject.
    fps : float or None
        Frames a second; None is the machine's own rate, or for a steered simulation the highest this computer keeps.
    steer : bool
        A person steers probe and needle; such a simulation has no end.
    """

    procedure: str
    machine: str = "A"
    seed: int = 1
    size_px: tuple[int, int] | None = DEFAULT_SIZE_PX
    needle: bool | None = True
    frames: int | None = None
    furniture: bool = True
    start: Literal["any", "outside", "inside"] = "outside"
    approach: Literal["in-plane", "out-of-plane"] | None = None
    options: SubjectOptions = field(default_factory=SubjectOptions)
    fps: float | None = None
    steer: bool = False

    @property
    def uri(self) -> str:
        """The address in its shortest exact form; it names the stream in frame keys."""
        parts = [f"machine={self.machine}", f"seed={self.seed}"]
        if self.size_px is not None:
            parts.append(f"size={self.size_px[0]}x{self.size_px[1]}")
        if self.needle is not True:
            parts.append(f"needle={'any' if self.needle is None else 'no'}")
        if not self.furniture:
            parts.append("furniture=no")
        if self.start != "outside":
            parts.append(f"start={self.start}")
        for name, value in self.options.given().items():
            parts.append(f"weight={value:g}" if name == "weight_kg" else f"{name}={value}")
        if self.approach is not None:
            parts.append(f"approach={self.approach}")
        if self.fps is not None:
            parts.append(f"fps={self.fps:g}")
        if self.steer:
            parts.append("steer=yes")
        if self.frames is not None:
            parts.append(f"frames={self.frames}")
        return f"{SCHEME}{self.procedure}?{'&'.join(parts)}"

    def at_rate(self, fps: float) -> SimulationRequest:
        """The same at another rate [frames/s]."""
        return replace(self, fps=fps)

    def open_generator(self) -> CineGenerator:
        """Make the generator of this cine."""
        return CineGenerator(
            self.procedure,
            self.machine,
            self.seed,
            size_px=self.size_px,
            furniture=self.furniture,
            needle=self.needle,
            start=self.start,
            options=self.options,
            approach=self.approach,
            steered=self.steer,
            fps=self.fps,
        )


def parse_simulation(uri: str) -> SimulationRequest:
    """Read an address such as ``sim:nerve?seed=3&machine=B&size=512x512&needle=no&frames=200``.

    Raises
    ------
    UserError
        An unknown procedure or key, or a value out of range; the sentence gives the nearest valid one.
    """
    if not uri.startswith(SCHEME):
        raise UserError(f"{uri} is not a simulator's address; write {SCHEME}breast?seed=1&machine=A.")
    body, _, query = uri[len(SCHEME) :].partition("?")
    procedure = body.strip("/")
    check_name("simulated procedure", procedure, PROCEDURES)
    given: dict[str, str] = {}
    for key, value in parse_qsl(query, keep_blank_values=True):
        if key not in KEYS:
            raise UserError(f"A simulator's address has no key {key!r}; {nearest(key, KEYS)}.")
        if key in given:
            raise UserError(f"The key {key!r} stands twice in this address; leave one out.")
        given[key] = value
    steer = _yes(given, "steer", False)
    request = SimulationRequest(
        procedure=procedure,
        machine=check_name("simulated machine", given.get("machine", "A").upper(), tuple(PRESETS)),
        seed=_whole(given.get("seed", "1"), "seed", 0, LARGEST_SEED),
        size_px=_size(given.get("size")),
        needle=None if given.get("needle") == "any" else _yes(given, "needle", True),
        frames=_whole(given["frames"], "frames", 1, 1_000_000) if "frames" in given else None,
        furniture=_yes(given, "furniture", True),
        start=_choice(given, "start", STARTS) or "outside",  # type: ignore[arg-type]
        approach=_choice(given, "approach", APPROACHES),  # type: ignore[arg-type]
        options=read_options(procedure, given),
        fps=_number(given, "fps", *FPS_RANGE, "frames/s"),
        steer=steer,
    )
    if steer and (request.frames is not None or request.needle is not True or "start" in given):
        word = "frames" if request.frames is not None else "start" if "start" in given else "needle"
        raise UserError(f"A simulation that you steer begins outside and has no end; leave {word}= out.")
    return request


def read_options(procedure: str, given: dict[str, str]) -> SubjectOptions:
    """Make the wishes for a subject from words.

    Raises
    ------
    UserError
        One does not exist, or does not fit the procedure.
    """
    level = given.get("level")
    options = SubjectOptions(
        view=given.get("view"),
        weight_kg=_number(given, "weight", *WEIGHT_KG, "kg", bounded=False),
        level=level.upper().replace("/", "-") if level is not None else None,
        condition=given.get("condition"),
        lesion=given.get("lesion"),
    )
    options.check(procedure)
    return options


def check_name(kind: str, name: str, known: tuple[str, ...]) -> str:
    """Return a name that exists.

    Raises
    ------
    UserError
        It does not; the sentence gives the nearest one.
    """
    if name not in known:
        raise UserError(f"There is no {kind} {name!r}; {nearest(name, known)}.")
    return name


def nearest(word: str, known: tuple[str, ...]) -> str:
    """Words that lead from a wrong name to a right one."""
    near = get_close_matches(word.lower(), [k.lower() for k in known], 1)
    every = f"choose one of {', '.join(known)}"
    return f"the nearest is {next(k for k in known if k.lower() == near[0])}, or {every}" if near else every


def _whole(text: str, key: str, low: int, high: int) -> int:
    try:
        value = int(text)
    except ValueError:
        value = low - 1
    if not low <= value <= high:
        raise UserError(f"{key}={text} is not a whole number from {low} to {high}.")
    return value


def _number(
    given: dict[str, str], key: str, low: float, high: float, unit: str, *, bounded: bool = True
) -> float | None:
    """Read a number; where it is not ``bounded`` here, whoever takes it refuses one out of range."""
    if key not in given:
        return None
    try:
        value = float(given[key])
    except ValueError:
        value = float("nan")
    if not math.isfinite(value) or (bounded and not low <= value <= high):
        raise UserError(f"{key}={given[key]} is not a number from {low:g} to {high:g} [{unit}].")
    return value


def _size(text: str | None) -> tuple[int, int]:
    if text is None:
        return DEFAULT_SIZE_PX
    parts = re.fullmatch(r"(\d{1,6})(x?)(\d{1,6})", text.lower())
    if parts is None or not parts[2]:
        shown = re.sub(r"\s*[*×,:;/ _-]\s*", "x", text.strip())
        shown = shown if re.fullmatch(r"\d{1,6}x\d{1,6}", shown) else "640x480"
        raise UserError(f"size={text} is not a width and a height; write them as {shown}.")
    low, high = SIZE_RANGE_PX
    size = int(parts[1]), int(parts[3])
    if not all(low <= side <= high for side in size):
        raise UserError(f"size={text} is out of range; width and height go from {low} to {high}.")
    return size


def _yes(given: dict[str, str], key: str, default: bool) -> bool:
    words = {"yes": True, "1": True, "no": False, "0": False}
    text = given.get(key)
    if text is None:
        return default
    if text not in words:
        also = ", or needle=any to leave it to the seed" if key == "needle" else ""
        raise UserError(f"{key}={text} is not understood; write {key}=yes or {key}=no{also}.")
    return words[text]


def _choice(given: dict[str, str], key: str, known: tuple[str, ...]) -> str | None:
    text = given.get(key)
    if text is None or text in known:
        return text
    raise UserError(f"{key}={text} is not understood; {nearest(text, known)}.")
