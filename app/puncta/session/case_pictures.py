"""Pictures for a model card: what a plugin did on simulated benchmark sets, successes and above all failures.

Only sets whose every pixel is simulated are shown; pictures on real backgrounds are not handed on.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from puncta.core.errors import UserError
from puncta.formats.atomic import AtomicFile
from puncta.formats.dataset import Image
from puncta.metrics.frames import JudgedFrame
from puncta.recording.tiles import Picture, Row, Tile, encode_sheet, lay_sheet
from puncta.session.dataset_source import geometry_of, read_grey_picture
from puncta.session.evaluate import LabelledData, Run, open_labelled_data, run_plugin

NEAR_MM = 2.0
COLUMNS = 5
FULLY_SIMULATED = "simulated tissue"
Progress = Callable[[int, int], None]


class Outcome(StrEnum):
    """How a judged frame went."""

    NEAR = "near"
    FAR = "far"
    MISSED = "missed"
    ALARM = "alarm"
    SILENT = "silent"


@dataclass(frozen=True, slots=True)
class Case:
    """A judged frame of a set, and how it went.

    Attributes
    ----------
    error_mm : float
        Distance of the tip given to the true one [mm]; NaN where there is none.
    """

    data: LabelledData
    frame: JudgedFrame
    outcome: Outcome
    error_mm: float

    @property
    def clip(self) -> tuple[str, int]:
        """The clip it belongs to: one picture of each is enough."""
        return self.data.name, self.frame.clip


def open_simulated_sets(folders: Sequence[Path], split: str | None = None) -> list[LabelledData]:
    """Open sets and see to it that they are simulated through and through.

    Raises
    ------
    UserError
        A set is missing, or shows pictures that are not simulated.
    """
    out = []
    for folder in folders:
        data = open_labelled_data(folder, split)
        content = data.dataset.info.more.get("content")
        if not data.simulated or content != FULLY_SIMULATED:
            raise UserError(
                f"The set {data.name} shows pictures that are not simulated, or does not say that all of them are, as "
                "sets of 'puncta dataset build' do; a model card shows simulated ones only, so leave it out."
            )
        out.append(data)
    return out


def judge_cases(run: Run, data: LabelledData) -> list[Case]:
    """Sort a run's judged frames by how they went; frames without a scale in millimetres are left out."""
    cases = []
    for frame in run.frames:
        labels, answer = frame.labels, frame.answer
        if not labels.tip_judged:
            continue
        error = math.nan
        if labels.tip_px is None:
            outcome = Outcome.SILENT if answer.tip_px is None else Outcome.ALARM
        elif answer.tip_px is None:
            outcome = Outcome.MISSED
        elif labels.mm_per_px is None:
            continue
        else:
            (ax, ay), (bx, by), (mx, my) = answer.tip_px, labels.tip_px, labels.mm_per_px
            error = math.hypot((ax - bx) * mx, (ay - by) * my)
            outcome = Outcome.NEAR if error <= NEAR_MM else Outcome.FAR
        cases.append(Case(data, frame, outcome, error))
    return cases


def pick_cases(cases: Sequence[Case], outcome: Outcome, most: int) -> list[Case]:
    """Pick cases of one outcome: the worst first, one a clip, machines and difficulties in turn.

    Worst is farthest among those far off, surest among false alarms. Misses and successes have no order of their own
    and are spread over the clips; a success is typical where its error is the median one.
    """
    such = [c for c in cases if c.outcome is outcome]
    if outcome is Outcome.FAR:
        such.sort(key=lambda c: -c.error_mm)
    elif outcome is Outcome.ALARM:
        such.sort(key=lambda c: -(c.frame.answer.score or 0.0))
    elif outcome is Outcome.NEAR and such:
        middle = sorted(c.error_mm for c in such)[len(such) // 2]
        such.sort(key=lambda c: abs(c.error_mm - middle))
    seen: set[tuple[str, int]] = set()
    queues: dict[tuple[str, str], list[Case]] = {}
    for case in such:
        if case.clip not in seen:
            seen.add(case.clip)
            queues.setdefault((case.frame.machine or "", case.frame.difficulty or ""), []).append(case)
    picked: list[Case] = []
    while len(picked) < most and any(queues.values()):
        for queue in queues.values():
            if queue and len(picked) < most:
                picked.append(queue.pop(0))
    return picked


def draw_cases(cases: Sequence[Case], title: str, plan: Sequence[tuple[Outcome, int]]) -> bytes:
    """Draw a sheet, a row of headings for each outcome of the plan; PNG.

    Raises
    ------
    UserError
        A picture of a set cannot be read.
    """
    words = {
        Outcome.NEAR: "Found within 2 mm", Outcome.FAR: "Wrong by more than 2 mm",
        Outcome.MISSED: "Missed: a tip is visible, none is given", Outcome.ALARM: "False alarms: no tip is there",
        Outcome.SILENT: "Rightly silent",
    }
    rows = []
    for outcome, most in plan:
        found = [c for c in cases if c.outcome is outcome]
        asked = [c for c in cases if (c.outcome in _WITH_TIP) is (outcome in _WITH_TIP)]
        kind = "frames with a visible tip" if outcome in _WITH_TIP else "frames without a tip"
        share = 100 * len(found) / max(1, len(asked))
        note = f"{len(found):,} of {len(asked):,} {kind} ({share:.1f} %); {_WHICH[outcome]}"
        rows.append(Row(words[outcome], [make_case_tile(c) for c in pick_cases(cases, outcome, most)], note))
    return encode_sheet(lay_sheet(title, rows, COLUMNS))


_WHICH = {
    Outcome.NEAR: "shown are errors about the median", Outcome.FAR: "shown are the farthest of each machine",
    Outcome.MISSED: "shown is one a clip", Outcome.ALARM: "shown are the surest of each machine",
    Outcome.SILENT: "shown is one a clip",
}
_WITH_TIP = {Outcome.NEAR, Outcome.FAR, Outcome.MISSED}


def make_case_tile(case: Case) -> Tile:
    """Make the tile of a case: the ultrasound region of its frame, truth, answer and words."""
    image = _image_of(case)
    labels, answer = case.frame.labels, case.frame.answer
    clip = case.data.clips[case.frame.clip]
    pixels = read_grey_picture(case.data.folder / image.file_name, image)
    x0, y0, w, h = geometry_of(image, clip).region.box

    def inside(point: tuple[float, float] | None) -> tuple[float, float] | None:
        return None if point is None else (point[0] - x0, point[1] - y0)

    given = answer.tip_px is not None
    score = f", score {answer.score:.2f}" if answer.score is not None and given else ""
    far = f"{case.error_mm:.{0 if case.error_mm >= 10 else 1}f} mm off{score}"
    said = {
        Outcome.NEAR: f"{case.error_mm:.1f} mm off{score}", Outcome.FAR: far,
        Outcome.MISSED: "missed", Outcome.ALARM: f"false alarm{score}", Outcome.SILENT: "silent",
    }[case.outcome]
    where = [f"machine {case.frame.machine}" if case.frame.machine else "", case.frame.difficulty or ""]
    procedure = clip.video.more.get("procedure") if clip.video else None
    axis = labels.axis[0] if labels.axis else None
    return Tile(
        picture=_cut(pixels, (x0, y0, w, h)),
        caption=(said, ", ".join(w for w in (str(procedure or ""), *where) if w)),
        true_tip_px=inside(labels.tip_px),
        true_entry_px=inside(axis) if labels.tip_px else None,
        tip_px=inside(answer.tip_px),
        entry_px=inside(answer.axis[0]) if answer.axis and given else None,
        radius_px=answer.radius90_px if given else None,
    )


def _cut(pixels: Picture, box: tuple[int, int, int, int]) -> Picture:
    x0, y0, w, h = box
    return pixels[max(0, y0) : y0 + h, max(0, x0) : x0 + w]


def _image_of(case: Case) -> Image:
    return next(i for i in case.data.clips[case.frame.clip].images if i.id == case.frame.image)


def picture_cases(
    plugin: str,
    sets: Sequence[LabelledData],
    out: Path,
    *,
    model: str | None = None,
    title: str | None = None,
    progress: Progress = lambda _done, _total: None,
) -> list[Path]:
    """Run a plugin over simulated sets and write two sheets: OUT-failures.png and OUT-successes.png.

    Raises
    ------
    UserError
        No such plugin or model, or a picture that cannot be read.
    """
    cases: list[Case] = []
    identity = None
    total = sum(len(data.clips) for data in sets)
    before = 0
    for data in sets:
        run = run_plugin(plugin, data, model=model, timings=False, progress=_shifted(progress, before, total))
        before += len(data.clips)
        identity = run.model or identity
        cases += judge_cases(run, data)
    name = title or f"{identity or plugin} on simulated sets: {', '.join(d.name for d in sets)}"
    written = []
    for word, plan in (
        ("failures", ((Outcome.FAR, 10), (Outcome.MISSED, 10), (Outcome.ALARM, 5))),
        ("successes", ((Outcome.NEAR, 10), (Outcome.SILENT, 5))),
    ):
        path = out.with_name(f"{out.name.removesuffix('.png')}-{word}.png")
        with AtomicFile(path, binary=True) as file:
            file.write(draw_cases(cases, f"{word.capitalize()} of {name}", plan))
        written.append(path)
    return written


def _shifted(progress: Progress, before: int, total: int) -> Progress:
    return lambda done, _total: progress(before + done, total)
