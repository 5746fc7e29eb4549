"""Collects the truth of a cine while it is simulated, and writes it as a truth folder.

How a caller uses it, for example `puncta simulate --truth DIR --maps masks,labels,flow`::

    with CaseTruth(generator, folder, maps_from_text(args.maps)) as case:
        for _ in range(count):
            pixels, truth = generator.next_frame()
            case.add(truth)                      # at once: the maps belong to the generator's present frame
            ...                                  # write the pixels
        source = open_source(str(out))           # the frame keys are hashes of the pixels as they decode
        case.write((source.read().hashed_key() for _ in range(count)), source.info.stream, f"puncta {__version__}")

Nothing is left in the folder where `write` is not reached.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, fields
from difflib import get_close_matches
from pathlib import Path
from types import TracebackType
from typing import Any

from puncta.core.errors import BugError, UserError
from puncta.core.frame import Calibration, CalibrationOrigin, FrameKey
from puncta.formats.atomic import plain_os_error
from puncta.formats.dataset_values import Visibility
from puncta.formats.rle import mask_from_rle, rle_from_mask
from puncta.formats.truth import (
    CONTENTS,
    MapFile,
    NeedleTruth,
    TargetTruth,
    TruthHead,
    TruthLine,
    write_truth,
)
from puncta.formats.truth_pictures import write_flow_map, write_label_map
from puncta.sim.cine import CineGenerator
from puncta.sim.difficulty import describe_difficulty
from puncta.sim.frame_view import FrameView
from puncta.sim.tissue_kinds import Tissue
from puncta.sim.truth import FrameTruth

LABEL_SETS = {"infant-lp": "infant-lp"}
_NEEDLE_FIELDS = frozenset(f.name for f in fields(NeedleTruth)) & frozenset(f.name for f in fields(FrameTruth))


def maps_from_text(text: str | None) -> frozenset[str]:
    """Return the maps that are asked for: names with commas between, or ``all``; nothing gives none.

    Raises
    ------
    UserError
        A name that is not known.
    """
    names = [name.strip().lower() for name in (text or "").split(",") if name.strip()]
    if names == ["all"]:
        return frozenset(CONTENTS)
    for name in names:
        if name not in CONTENTS:
            near = get_close_matches(name, CONTENTS, 1)
            hint = f"the nearest is {near[0]}" if near else f"choose from {', '.join(CONTENTS)}"
            raise UserError(f"There are no truth maps {name!r}; {hint}.")
    return frozenset(names)


@dataclass(slots=True)
class _Kept:
    """What a line needs but its key."""

    truth: FrameTruth
    difficulty: dict[str, Any] | None
    has_needle: bool
    masks: dict[str, dict[str, list[int]]]
    labels: MapFile | None = None
    flow: MapFile | None = None


class CaseTruth:
    """Truth of one cine on its way into a folder.

    Parameters
    ----------
    generator : CineGenerator
        Gives the frames.
    folder : Path or None
        None collects nothing, so that a caller needs no second way.
    maps : set of str
        Some of `CONTENTS`.
    """

    def __init__(self, generator: CineGenerator, folder: Path | None, maps: Iterable[str] = ()) -> None:
        self.generator = generator
        self.folder = None if folder is None else Path(folder)
        self.maps = frozenset(maps)
        self._frames: list[_Kept] = []
        self._before: FrameView | None = None
        self._work: Path | None = None
        if self.folder is not None and self.maps & {"labels", "flow"}:
            self._work = self.folder / ".maps.tmp"
            try:
                shutil.rmtree(self._work, ignore_errors=True)
                for name in sorted(self.maps & {"labels", "flow"}):
                    (self._work / name).mkdir(parents=True)
            except OSError as error:
                raise plain_os_error(error, self.folder, "create") from error

    def __enter__(self) -> CaseTruth:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.discard()

    def add(self, truth: FrameTruth) -> None:
        """Take the frame that the generator has just given."""
        if self.folder is None:
            return
        generator = self.generator
        view = generator.view
        kept = _Kept(truth, describe_difficulty(truth, generator.machine, generator.scan, generator.subject),
                     view.state.needle is not None, {})
        if "masks" in self.maps and view.needle is not None:
            # As run lengths: a long cine's masks would not fit into memory.
            kept.masks = {"mask": rle_from_mask(generator.maps.physical_mask(view)),
                          "visible_mask": rle_from_mask(generator.maps.visible_mask(view))}
        number = len(self._frames)
        layout = generator.scan.layout
        if self._work is not None and "flow" in self.maps and self._before is not None:
            flow = generator.maps.optical_flow(self._before, view)
            name = f"flow/{number - 1:06d}.png"
            write_flow_map(self._work / name, flow, (layout.width_px, layout.height_px), layout.region[:2])
            self._frames[-1].flow = self._map_file(name)
        if self._work is not None and "labels" in self.maps:
            name = f"labels/{number:06d}.png"
            write_label_map(self._work / name, generator.maps.label_map(view))
            kept.labels = self._map_file(name)
        self._before = view
        self._frames.append(kept)

    def write(self, keys: Iterable[FrameKey], stream: str, simulator: str) -> None:
        """Write the folder: maps, then lines, then the head.

        Parameters
        ----------
        keys : iterable of FrameKey
            One for each frame that was added, in order, with hashes of the pixels as they decode.
        stream : str
            Stream of the keys.
        simulator : str
            Name and version.

        Raises
        ------
        UserError
            The folder cannot be written.
        BugError
            Fewer keys than frames.
        """
        if self.folder is None:
            return
        self._place_maps()
        try:
            write_truth(self.folder, self._head(stream, simulator), self._lines(keys))
        except Exception:
            for name in self.maps & {"labels", "flow"}:
                shutil.rmtree(self.folder / name, ignore_errors=True)
            raise

    def discard(self) -> None:
        """Remove what has not been put in its place; does nothing after `write`."""
        if self._work is None:
            return
        shutil.rmtree(self._work, ignore_errors=True)
        self._work = None
        if self.folder is not None and self.folder.is_dir() and not any(self.folder.iterdir()):
            self.folder.rmdir()

    def _place_maps(self) -> None:
        assert self.folder is not None
        for name in ("labels", "flow"):
            target = self.folder / name
            try:
                if target.is_dir():  # of an earlier case in the same folder, whose lines go as well
                    shutil.rmtree(target)
                if self._work is not None and name in self.maps:
                    (self._work / name).rename(target)
            except OSError as error:
                raise plain_os_error(error, target, "write") from error
        if self._work is not None:
            shutil.rmtree(self._work, ignore_errors=True)
            self._work = None

    def _lines(self, keys: Iterable[FrameKey]) -> Iterator[TruthLine]:
        count = 0
        for kept, key in zip(self._frames, keys, strict=False):
            yield self._line(kept, key)
            count += 1
        if count != len(self._frames):
            raise BugError(f"{len(self._frames)} frames have truth, {count} have a key")

    def _line(self, kept: _Kept, key: FrameKey) -> TruthLine:
        truth = kept.truth
        needle = None
        if kept.has_needle:
            values = {name: value for name, value in asdict(truth).items() if name in _NEEDLE_FIELDS}
            values |= {name: mask_from_rle(rle) for name, rle in kept.masks.items()}
            needle = NeedleTruth(**values | {"visibility": Visibility(truth.visibility)})
        target = None
        if truth.target_px is not None and truth.target_offset_mm is not None:
            target = TargetTruth(self.generator.subject.target.name, truth.target_px, truth.target_offset_mm,
                                 truth.distance_to_target_mm)
        return TruthLine(key, needle, dict(truth.flags), kept.difficulty, {}, target, kept.labels, kept.flow)

    def _map_file(self, name: str) -> MapFile:
        assert self._work is not None
        return MapFile(name, hashlib.sha256((self._work / name).read_bytes()).hexdigest())

    def _head(self, stream: str, simulator: str) -> TruthHead:
        g = self.generator
        layout = g.scan.layout
        calibration = Calibration((layout.mm_per_px, layout.mm_per_px), CalibrationOrigin.SIMULATED, "simulator")
        return TruthHead(
            g.procedure, g.machine.name, g.seed, simulator, stream, layout.width_px, layout.height_px,
            tuple(float(v) for v in layout.region), calibration,  # type: ignore[arg-type]
            LABEL_SETS.get(g.procedure, "needle"), describe_physics(g),
            tuple(name for name in CONTENTS if name in self.maps),
            {int(kind): kind.name.lower() for kind in Tissue} if "labels" in self.maps else {},
        )


def describe_physics(generator: CineGenerator) -> dict[str, Any]:
    """Return what was drawn for a cine: machine, subject and needle, units in the names."""
    m, s = generator.machine, generator.subject
    physics: dict[str, Any] = {
        "geometry": m.geometry, "f0_mhz": m.f0_mhz, "bandwidth": m.bandwidth, "f_number": m.f_number,
        "dynamic_range_db": m.dynamic_range_db, "elevation_fwhm_mm": m.elevation_fwhm_mm, "fps": m.fps,
        "looks": m.looks, "jpeg_quality": m.jpeg_quality, "depth_mm": generator.scan.depth_mm,
        "has_needle": generator.has_needle, "view": s.view, "target": s.target.name,
        "target_radius_mm": s.target.radius_mm,
    }
    physics |= {f"subject_{name}": value for name, value in s.facts.items()}
    if generator.needle is not None:
        physics |= {f"needle_{name}": value for name, value in asdict(generator.needle).items()}
    return physics
