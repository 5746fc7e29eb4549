"""Remembers where a tip was seen last, so that one that is lost fades at its place instead of vanishing.

A memory belongs to one viewer or one export. Time is the frames' own (a live stream's is its arrival), so a paused
picture keeps what it shows, and an export shows what the screen showed.
"""

from __future__ import annotations

from dataclasses import dataclass

from puncta.core.frame import SourceKind
from puncta.core.geometry import PointPx
from puncta.core.results import Analysis, Box, Certainty, Detection, PluginOutput

LOST_FADE_NS = 1_000_000_000
"""Time [ns] after its last sight within which a lost tip's outline fades away."""


@dataclass(frozen=True, slots=True)
class LostTip:
    """A tip that was seen shortly before this frame and is not seen on it.

    Attributes
    ----------
    plugin_id : str
    tip_px : (x, y) [px]
        Where it was seen last.
    box : Box
    left : float
        Share of the fade that is left: 1 on the last sight, 0 when the outline is gone.
    """

    plugin_id: str
    tip_px: PointPx
    box: Box
    left: float


@dataclass(frozen=True, slots=True)
class _Sight:
    tip_px: PointPx
    box: Box
    t_ns: int
    model_sha256: str


class TipMemory:
    """Last sights by plugin, within one source."""

    def __init__(self) -> None:
        self._stream: str | None = None
        self._sights: dict[str, _Sight] = {}

    def clear(self) -> None:
        """Forget everything."""
        self._sights.clear()
        self._stream = None

    def take(self, analysis: Analysis) -> tuple[LostTip, ...]:
        """Take the next analysis shown; return the tips that it lost.

        A new source, a step back, a jump farther than the fade or another model of the plugin forgets what was seen.
        """
        frame = analysis.frame
        # A live stream is as old as its arrival; its stored times may begin anew or stand still.
        now_ns = frame.t_ns if frame.source.kind is SourceKind.LIVE else frame.key.pts_ns
        if self._stream != frame.key.stream:
            self._sights.clear()
            self._stream = frame.key.stream
        lost: list[LostTip] = []
        for output in analysis.outputs:
            sight = self._sights.get(output.plugin_id)
            other = sight is not None and sight.model_sha256 != output.model_sha256
            if sight is not None and (other or not 0 <= now_ns - sight.t_ns < LOST_FADE_NS):
                del self._sights[output.plugin_id]
                sight = None
            tip = next((r for r in output.results if isinstance(r, Detection) and r.label == "needle_tip"), None)
            if tip is None:
                continue
            if tip.tip_px is not None and tip.box is not None and tip.certainty is not Certainty.LOST:
                seen_ns = now_ns - _age_ns(output, analysis)
                self._sights[output.plugin_id] = _Sight(tip.tip_px, tip.box, seen_ns, output.model_sha256)
            elif sight is not None:
                left = 1.0 - (now_ns - sight.t_ns) / LOST_FADE_NS
                lost.append(LostTip(output.plugin_id, sight.tip_px, sight.box, left))
        return tuple(lost)


def _age_ns(output: PluginOutput, analysis: Analysis) -> int:
    """How much older than the picture a result is that was carried forward to it [ns]; 0 for one of its own."""
    frame = analysis.frame
    return 0 if output.frame_id == frame.frame_id else max(0, frame.t_ns - output.frame_t_ns)
