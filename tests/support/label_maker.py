"""Cases and labels for tests of the annotation."""

from __future__ import annotations

from puncta.annotation.cases import Case
from puncta.annotation.commands import Board, Command
from puncta.annotation.labels import Kind, Label, Provenance, State, Value, by_person
from puncta.annotation.store import AnnotationStore, Applied
from puncta.core.frame import FrameKey

STREAM = "clip.mp4"
MODEL = Provenance(Kind.MODEL, "needle-tip", "0.2", made_utc="2026-01-01T00:00:00Z", confidence=0.7)


def key(index: int, sha256: str | None = None) -> FrameKey:
    """The key of a frame of the clip, 25 a second."""
    return FrameKey(STREAM, index, index * 40_000_000, sha256)


def make_case(**facts: object) -> Case:
    """A case of 64 x 48 pixels and 100 frames."""
    values: dict = {
        "title": "A clip",
        "stream": STREAM,
        "label_set": "needle",
        "width_px": 64,
        "height_px": 48,
        "frame_count": 100,
        "fps": 25.0,
        "region": (4.0, 2.0, 50.0, 40.0),
        "mm_per_px": (0.1, 0.1),
    }
    return Case(**{**values, **facts})


def proposal(name: str, index: int, value: Value, rater: str = "anna", made: Provenance = MODEL) -> Label:
    """What a model proposes."""
    return Label(name, key(index), rater, value, made, State.PROPOSED)


def label(name: str, index: int, value: Value, rater: str, state: State = State.CONFIRMED) -> Label:
    """A label that a person has drawn."""
    return Label(name, key(index), rater, value, by_person(rater), state)


def do(store: AnnotationStore, board: Board, command: Command | None) -> Applied:
    """Make a gesture on the board and in the store."""
    assert command is not None
    done = store.apply(command)
    board.apply(done.changes)
    return done
