"""What passes between the recorder and the files of a session."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Any

from puncta.core.frame import Calibration
from puncta.core.results import Analysis
from puncta.formats.frames_log import FramesHead
from puncta.formats.results_lines import ResultLine, line_from_analysis
from puncta.recording.kept_region import Keeping, shift_result, shift_target


@dataclass(frozen=True, slots=True)
class Coded:
    """One frame, ready to be stored.

    Attributes
    ----------
    t_ns : int
        Arrival by the machine's monotonic clock [ns].
    lost : int
        Frames lost just before it, for the reasons in ``causes``.
    """

    source_index: int
    pts_ns: int
    t_ns: int
    payload: bytes
    raw: bool
    sha256: str
    lost: int = 0
    causes: tuple[tuple[str, int], ...] = ()
    calibration: Calibration | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """What was found on one frame: the line of results, still without its place in the session.

    Attributes
    ----------
    models : tuple of (str, str, str)
        Plugin, id and hash of each model that took part.
    """

    line: ResultLine
    models: tuple[tuple[str, str, str], ...] = ()


@dataclass(slots=True)
class Tally:
    """What was stored and what was lost, and which models took part."""

    stored: int = 0
    lost: int = 0
    pre_roll: int = 0
    gaps: list[dict[str, Any]] = field(default_factory=list)
    markers: list[dict[str, Any]] = field(default_factory=list)
    changes: list[dict[str, Any]] = field(default_factory=list)
    models: dict[tuple[str, str, str], dict[str, str]] = field(default_factory=dict)
    plugins: set[str] = field(default_factory=set)
    transforms: Counter[str] = field(default_factory=Counter)
    running: dict[str, tuple[str, str]] = field(default_factory=dict)

    def take_model(self, plugin: str, name: str, sha256: str) -> bool:
        """Note a frame's model; tell whether it is another than before, also where one comes back."""
        if self.running.get(plugin) == (name, sha256):
            return False
        self.running[plugin] = name, sha256
        self.models[plugin, name, sha256] = {"id": name, "sha256": sha256}
        return True


@dataclass(frozen=True, slots=True)
class SessionFacts:
    """What is known of the recording before its first frame."""

    stream: str
    title: str
    simulated: bool
    head: FramesHead
    keeping: Keeping


def found_of(analysis: Analysis, sha256: str, by_px: tuple[int, int]) -> Found:
    """Return what an analysis says, without its picture.

    Parameters
    ----------
    sha256 : str
        Hash of the stored frame, so that it is not computed again over the whole picture.
    by_px : tuple of int
        Where the kept picture's first pixel is in the analysed one [px].
    """
    frame = analysis.frame
    line = line_from_analysis(replace(analysis, frame=replace(frame, key=replace(frame.key, sha256=sha256))))
    outputs = {name: tuple(shift_result(r, by_px) for r in results) for name, results in line.outputs.items()}
    models = tuple((o.plugin_id, o.model, o.model_sha256) for o in analysis.outputs if o.model and o.model_sha256)
    return Found(replace(line, outputs=outputs, target=shift_target(line.target, by_px)), models)
