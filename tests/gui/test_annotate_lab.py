"""A lab's store in the window: whether labels are with the lab or on this computer alone, and when that changes."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pg_server
import pytest
from annotate_window import Hand, annotating, pose_at

from puncta.annotation.shared import Refused, Standing
from puncta.annotation.store import AnnotationStore


@pytest.fixture(scope="module")
def postgres() -> Iterator[pg_server.Server]:
    """A PostgreSQL server."""
    missing = pg_server.missing_part()
    if missing:
        pytest.skip(missing)
    with pg_server.running_server() as server:
        yield server


def chip(hand: Hand) -> str:
    hand.notes.desk.look()
    return hand.notes.status.saved.words.text()


def draw(hand: Hand, index: int) -> None:
    hand.go(index)
    pose = pose_at(index, 30)
    hand.drag((pose.entry_px[0] - 1.0, pose.entry_px[1] + 0.6), pose.tip_px)


def test_a_lab_that_was_never_reached_is_told_with_what_waits_here(stage, qtbot, monkeypatch) -> None:
    monkeypatch.setenv("PUNCTA_STORE", f"postgresql://nobody@127.0.0.1:9/{uuid.uuid4().hex}")
    hand = annotating(stage, qtbot)
    assert chip(hand) in {"Reaching the lab store", "Lab store not reached"}
    hand.wait(lambda: chip(hand) == "Lab store not reached")
    banners = hand.parts.window.stage.banners
    assert "kept on this computer" in banners.texts()["lab"] and "does not answer" in banners.texts()["lab"]
    draw(hand, 3)
    hand.calm()
    hand.wait(lambda: chip(hand) == "Lab store not reached, 1 waiting here")
    assert hand.notes.status.saved.mark.tone == "caution"
    assert "127.0.0.1" in hand.notes.status.saved.toolTip()
    banners.hush("lab")
    draw(hand, 4)
    hand.calm()
    hand.wait(lambda: "2 waiting" in chip(hand))
    assert "lab" not in banners.texts(), "what was closed is not said at every gesture"


def test_when_the_lab_answers_again_everything_is_sent_and_said(
    stage, qtbot, monkeypatch, postgres: pg_server.Server
) -> None:
    address = postgres.make_store(f"w{uuid.uuid4().hex}")
    monkeypatch.setenv("PUNCTA_STORE", address)
    postgres.stop()
    try:
        hand = annotating(stage, qtbot)
        draw(hand, 3)
        hand.calm()
        hand.wait(lambda: chip(hand) == "Lab store not reached, 1 waiting here")
    finally:
        postgres.start_again()
    hand.wait(lambda: chip(hand) == "Everything saved", seconds=60.0)
    assert "lab" not in hand.parts.window.stage.banners.texts()
    assert hand.notes.status.saved.toolTip() == "In the lab's store."
    with AnnotationStore.open(address) as server:
        (case,) = server.cases()
        assert len(server.labels(case.id, rater="T")) == 3


def test_a_gesture_that_the_lab_has_not_taken_is_told(stage, qtbot) -> None:
    hand = annotating(stage, qtbot)
    banners = hand.parts.window.stage.banners
    old = Refused("1", "c", "Old", "long ago")
    hand.notes.saved._follow_server(Standing(True, 0, 1, "", old))
    assert "refused" not in banners.texts(), "what an earlier day has told of is not told again"
    new = Refused("2", "c", "Needle", "needle on frame 1 is another one now")
    hand.notes.saved._follow_server(Standing(True, 0, 2, "", new))
    assert "Needle" in banners.texts()["refused"] and "frame 1" in banners.texts()["refused"]
