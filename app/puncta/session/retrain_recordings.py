"""Recordings without a needle to pre-train on: where they are, who they are of, and which of their frames are taken.

Nobody labels anything here. Somebody states that the recordings show no needle, and what contradicts that is left out:
frames near a confirmed needle, and later those at which the present model is sure of a tip (`retrain_needle_free`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from puncta.annotation.cases import Case
from puncta.annotation.labels import Label, NotVisible, TipLabel
from puncta.annotation.store import AnnotationStore
from puncta.core.errors import UserError
from puncta.formats.atomic import plain_os_error
from puncta.formats.dataset import NEEDLE_CATEGORY, TIP_CATEGORY, Visibility
from puncta.session.retrain_data import LabelledCase, TrainingData, gathered
from puncta.session.same_recording import SESSION, firsts
from puncta.sources.factory import FILE_SUFFIXES, open_source
from puncta.sources.image_folder import IMAGE_SUFFIXES

PLUGIN = "needle-tip"
LIBRARY = "recordings"
"""Id of the recordings of the library and of files that somebody has added."""
RUN_FRAMES = 24
"""Frames of a run that follow one another: needles drawn into them move as they would."""
LEAST_RUN = 4
"""What is shorter, and no still, teaches nothing of motion and is left."""
MOST_RUNS = 4
"""Runs of one recording, spread over it: what lies between looks the same."""
MOST_FRAMES = 4_000
"""Frames in all; of very many recordings fewer runs are taken."""
RATE = 30.0
"""Of a faster recording every second or third frame is taken [1/s]."""
NEAR_FRAMES = 60
"""So close to a confirmed needle nothing is taken."""
SAME = "{title} is left out: it is the same recording as {other}, which counts once."
TOO_SHORT = "{title} is left out: it has fewer than {least} frames and is no single picture."


@dataclass(frozen=True, slots=True)
class Recording:
    """A recording that somebody may state to be without a needle.

    Attributes
    ----------
    id : str
        Of its case; of a file its address.
    uri : str
        Where it is for this user; never written into a dataset.
    runs : tuple of tuple of int
        Frames that would be taken, those of a run in order.
    mm_per_px : tuple of float or None
        (x, y) [mm/px], where the case knows it.
    also : tuple of str
        Titles of further cases that are this very recording; it counts once.
    """

    id: str
    title: str
    uri: str
    subject: str | None
    machine: str | None
    simulated: bool
    fps: float
    runs: tuple[tuple[int, ...], ...]
    mm_per_px: tuple[float, float] | None = None
    also: tuple[str, ...] = ()

    @property
    def who(self) -> str:
        """Its title with its person, where one is stated."""
        return titled(self.title, self.subject)

    @property
    def frames(self) -> int:
        """Frames that would be taken."""
        return sum(len(run) for run in self.runs)

    @property
    def step(self) -> int:
        """Of this recording every ``step``-th frame is taken."""
        return step_of(self.fps)


def titled(title: str, subject: str | None) -> str:
    """Return a title with the person: cines of several persons often have the same name."""
    return f"{title} ({subject})" if subject else title


def left_out(place: Path, why: str, subject: str | None = None) -> str:
    """Say that a place is left out and why; its name stands once, and the folder it lies in is nobody's business."""
    said = why.replace(str(place), place.name)
    short = said.removeprefix(f"{place.name} ")
    return f"{titled(place.name, subject)} is left out: {said if short == said else f'it {short}'}"


def step_of(fps: float) -> int:
    """Return how many frames of a recording make one step of about `RATE`."""
    return max(1, round(fps / RATE)) if fps > 0 else 1


def runs_to_take(
    count: int, fps: float = 0.0, closed: Iterable[int] = (), most: int = MOST_RUNS
) -> tuple[tuple[int, ...], ...]:
    """Return which frames of a recording are taken: runs that follow one another, spread over the whole.

    Parameters
    ----------
    count : int
        Frames of the recording; 1 is a still.
    closed : iterable of int
        Frames that must not be taken.
    """
    shut, step = set(closed), step_of(fps)
    if count == 1:
        return () if 0 in shut else ((0,),)
    free, start = [], None
    for index in range(count + 1):
        open_here = index < count and index not in shut
        if open_here and start is None:
            start = index
        elif not open_here and start is not None:
            free.append((start, index))
            start = None
    windows: list[tuple[int, ...]] = []
    for first, end in free:
        wanted = RUN_FRAMES * step
        for k in range(max(1, (end - first) // wanted)):
            run = tuple(range(first + k * wanted, min(first + (k + 1) * wanted, end), step))
            if len(run) >= LEAST_RUN:
                windows.append(run)
    chosen = np.unique(np.linspace(0, len(windows) - 1, min(most, len(windows))).round().astype(int))
    return tuple(windows[k] for k in chosen) if windows else ()


def near_needles(labels: Iterable[Label]) -> tuple[int, ...]:
    """Return the frames that lie near, or between, confirmed labels of a needle; "not visible" is none."""
    shown = sorted({
        label.key.index for label in labels
        if label.trusted and label.slot.category in (TIP_CATEGORY, NEEDLE_CATEGORY)
        and not isinstance(label.value, NotVisible) and not _is_absent(label)
    })
    if not shown:
        return ()
    # A needle that is there on two frames is there in between, whoever has labelled that.
    return tuple(range(max(0, shown[0] - NEAR_FRAMES), shown[-1] + NEAR_FRAMES + 1))


def _is_absent(label: Label) -> bool:
    return isinstance(label.value, TipLabel) and label.value.visibility is Visibility.ABSENT


def recordings_of_store(store: AnnotationStore) -> tuple[Recording, ...]:
    """Return the recordings of the library, those left out of which no frame may be taken.

    A recording that several cases are of is one, and a needle that was confirmed in any of them closes its frames.
    """
    cases = [case for case in store.cases() if case.uri]
    groups: dict[int, list[Case]] = {}
    for case, first in zip(cases, firsts(case.uri for case in cases), strict=True):
        groups.setdefault(first, []).append(case)
    found = []
    for same in groups.values():
        case = same[0]
        ids = [other.id for other in same]
        labels = [label for i in ids for rater in store.raters(i) for label in store.labels(i, rater=rater)]
        runs = runs_to_take(case.frame_count or 0, case.fps, near_needles(labels))
        if runs:
            recording = _of_case(case, runs)
            subject = next((other.subject for other in same if other.subject), None)
            found.append(replace(recording, subject=subject, also=tuple(other.title for other in same[1:])))
    return tuple(found)


def _of_case(case: Case, runs: tuple[tuple[int, ...], ...]) -> Recording:
    return Recording(
        case.id, case.title, case.uri, case.subject, case.machine, case.simulated, case.fps, runs, case.mm_per_px
    )


def recording_of_file(uri: str | Path, subject: str | None = None, machine: str | None = None) -> Recording:
    """Return a file, a session folder or a folder of pictures as a recording.

    Raises
    ------
    UserError
        It cannot be read, or has no end.
    """
    source = open_source(str(uri))
    try:
        info = source.info
    finally:
        source.close()
    if info.frame_count is None:
        raise UserError(f"{info.title} has no end, so no frames can be chosen from it; record it first.")
    interval = info.interval_ns
    fps = round(1e9 / interval, 3) if interval and info.frame_count > 1 else 0.0
    calibration = info.geometry.calibration
    return Recording(
        str(uri), info.title, str(uri), subject, machine, info.simulated, fps, runs_to_take(info.frame_count, fps),
        None if calibration is None else calibration.mm_per_px,
    )


def recordings_of_folder(
    folder: Path, tell: Callable[[int, int], None] | None = None
) -> tuple[tuple[Recording, ...], tuple[str, ...]]:
    """Return the recordings of a folder, and in a sentence each what cannot be read or is there already.

    A folder in it that is no recording itself is a person, and what lies in that is of this person: cines, session
    folders, folders of pictures (a cine each), and single pictures (a still each). What lies in the folder itself is
    of nobody in particular.

    Raises
    ------
    UserError
        The folder is not there or holds no recording.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise UserError(f"There is no folder {folder}; name the one with the needle-free recordings.")
    places: list[tuple[Path, str | None]] = []
    wrong: list[str] = []
    try:
        there = sorted(folder.iterdir())
    except OSError as error:
        raise plain_os_error(error, folder, "read") from error
    for place in there:
        try:
            places += _places_in(place)
        except OSError as error:  # a folder that may not be read is no reason to drop all others
            wrong.append(left_out(place, str(plain_os_error(error, place, "read"))))
    found: list[Recording] = []
    same = firsts(str(place) for place, _subject in places)
    for done, (place, subject) in enumerate(places, start=1):
        if same[done - 1] != done - 1:
            first, person = places[same[done - 1]]
            wrong.append(SAME.format(title=titled(place.name, subject), other=titled(first.name, person)))
            continue
        try:
            recording = recording_of_file(place, subject)
        except (UserError, OSError) as error:
            why = plain_os_error(error, place, "read") if isinstance(error, OSError) else error
            wrong.append(left_out(place, str(why), subject))
            continue
        if recording.runs:
            found.append(recording)
        else:
            wrong.append(TOO_SHORT.format(title=titled(place.name, subject), least=LEAST_RUN))
        if tell is not None:
            tell(done, len(places))
    if not found:
        raise UserError(
            f"The folder {folder} holds no recording; put cines or stills without a needle into it, in one folder for "
            "each person." + "".join(f"\n{words}" for words in wrong)
        )
    return tuple(found), tuple(wrong)


def _places_in(place: Path) -> list[tuple[Path, str | None]]:
    """Return what may be recordings in a person's folder, or the place itself as one of nobody in particular."""
    if place.name.startswith("."):
        return []
    if place.is_dir() and not _is_session(place):
        return [(inner, place.name) for inner in sorted(place.iterdir()) if _may_be_recording(inner)]
    return [(place, None)] if _may_be_recording(place) else []


def _is_session(place: Path) -> bool:
    return (place / SESSION).is_file()


def _may_be_recording(place: Path) -> bool:
    if place.name.startswith("."):
        return False
    if place.is_dir():
        return _is_session(place) or any(p.suffix.lower() in IMAGE_SUFFIXES for p in place.iterdir())
    # DICOM files often have no ending; what none of the readers knows is told.
    return place.suffix.lower() in FILE_SUFFIXES or not place.suffix


def within_budget(recordings: Sequence[Recording], most: int = MOST_FRAMES) -> tuple[Recording, ...]:
    """Return the recordings with fewer runs each where there are very many, at least one."""
    each = max(1, most // (RUN_FRAMES * max(1, len(recordings))))
    out = []
    for recording in recordings:
        runs = recording.runs
        if len(runs) > each:
            chosen = np.unique(np.linspace(0, len(runs) - 1, each).round().astype(int))
            runs = tuple(runs[k] for k in chosen)
        out.append(replace(recording, runs=runs))
    return tuple(out)


def data_of_recordings(
    recordings: Sequence[Recording], title: str = LIBRARY, identity: str = LIBRARY, problems: tuple[str, ...] = (),
    left: Mapping[str, int] | None = None,
) -> TrainingData:
    """Return recordings as something to learn from; its frames are those that would be taken.

    Parameters
    ----------
    left : mapping of str to int or None
        Frames that are left of those at which a model has looked, by the recording's id.
    """
    known = left or {}
    kept = within_budget(recordings)
    frames = {r.id: min(r.frames, known.get(r.id, r.frames)) for r in kept}
    cases = [LabelledCase(r.id, r.title, r.subject, r.machine, r.simulated, {PLUGIN: frames[r.id]}) for r in kept]
    found = gathered(identity, title, cases, None, "", problems)
    return replace(found, needle_free=True, recordings=kept)
