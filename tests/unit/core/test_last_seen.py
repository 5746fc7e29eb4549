"""A lost tip fades at its last place, then nothing; a step back or a far jump forgets it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from puncta.core.frame import Frame, FrameKey, ImageGeometry, SourceInfo, SourceKind
from puncta.core.last_seen import LOST_FADE_NS, TipMemory
from puncta.core.overlay import STALE_OPACITY, Dash, Label, Stroke, compose
from puncta.core.results import Analysis, Certainty, Detection, PluginOutput

GEOMETRY = ImageGeometry(200, 150)
INFO = SourceInfo("u", "s", "t", SourceKind.FILE, GEOMETRY, 10)
MS = 1_000_000
GONE = Detection("needle_tip", None, None, 0.1, certainty=Certainty.LOST, reason="none found")


def tip_at(x: float, y: float, *, predicted: bool = False) -> Detection:
    return Detection("needle_tip", (x - 8, y - 3, 16.0, 6.0), (x, y), 0.9, 12.0, predicted=predicted)


def analysis(
    ms: float, result: Detection, *, epoch: int = 0, carried_ms: float = 0.0, stream: str = "s"
) -> Analysis:
    frame_id = int(ms)
    frame = Frame(
        FrameKey(stream, frame_id, int(ms * MS)), epoch, frame_id, int((5000 + ms) * MS), 0,
        np.zeros((150, 200), np.uint8), GEOMETRY, INFO,
    )
    own_id = frame_id - 1 if carried_ms else frame_id
    return Analysis(frame, (PluginOutput("a", own_id, (result,), frame_t_ns=int((5000 + ms - carried_ms) * MS)),))


def test_it_fades_from_its_last_place_and_is_gone_after_a_second():
    memory = TipMemory()
    assert memory.take(analysis(0, tip_at(50, 60))) == ()
    assert memory.take(analysis(100, tip_at(52, 60, predicted=True))) == ()
    left = []
    for ms in (200, 600, 1000):
        (lost,) = memory.take(analysis(ms, GONE))
        assert lost.tip_px == (52, 60)
        left.append(lost.left)
    assert left == pytest.approx([0.9, 0.5, 0.1])
    assert memory.take(analysis(1100, GONE)) == ()
    assert memory.take(analysis(1200, GONE)) == ()
    assert LOST_FADE_NS == 1000 * MS


def test_a_tip_that_is_found_again_leaves_no_outline():
    memory = TipMemory()
    memory.take(analysis(0, tip_at(50, 60)))
    assert len(memory.take(analysis(100, GONE))) == 1
    assert memory.take(analysis(200, tip_at(90, 90))) == ()
    (lost,) = memory.take(analysis(300, GONE))
    assert lost.tip_px == (90, 90)


def test_nothing_is_lost_that_was_never_there_or_that_lies_ahead_or_in_another_source():
    memory = TipMemory()
    assert memory.take(analysis(0, GONE)) == ()
    memory.take(analysis(100, tip_at(50, 60)))
    assert len(memory.take(analysis(300, GONE, epoch=1))) == 1, "a short jump ahead still knows it"
    memory.take(analysis(300, tip_at(50, 60), epoch=1))
    assert memory.take(analysis(250, GONE, epoch=2)) == (), "a step back"
    memory.take(analysis(400, tip_at(50, 60), epoch=2))
    assert memory.take(analysis(1500, GONE, epoch=3)) == (), "a jump far ahead"
    memory.take(analysis(400, tip_at(50, 60)))
    assert memory.take(analysis(500, GONE, stream="other")) == ()
    memory.take(analysis(600, tip_at(50, 60), stream="other"))
    memory.clear()
    assert memory.take(analysis(700, GONE, stream="other")) == ()


def test_what_another_model_saw_is_not_said_to_be_lost():
    def by(model: str, seen: Analysis) -> Analysis:
        return replace(seen, outputs=tuple(replace(o, model_sha256=model) for o in seen.outputs))

    memory = TipMemory()
    memory.take(by("old", analysis(0, tip_at(50, 60))))
    assert len(memory.take(by("old", analysis(100, GONE)))) == 1
    assert memory.take(by("new", analysis(200, GONE))) == ()
    memory.take(by("new", analysis(300, tip_at(50, 60))))
    assert len(memory.take(by("new", analysis(400, GONE)))) == 1


def test_a_result_carried_forward_is_as_old_as_its_own_frame():
    memory = TipMemory()
    memory.take(analysis(500, tip_at(50, 60), carried_ms=300))
    (lost,) = memory.take(analysis(700, GONE))
    assert lost.left == pytest.approx(0.5)


def test_a_live_stream_is_timed_by_its_arrival():
    def live(ms: float, result: Detection) -> Analysis:
        made = analysis(ms, result)
        key = replace(made.frame.key, pts_ns=0)
        return replace(made, frame=replace(made.frame, key=key, source=replace(INFO, kind=SourceKind.LIVE)))

    memory = TipMemory()
    memory.take(live(0, tip_at(50, 60)))
    (lost,) = memory.take(live(500, GONE))
    assert lost.left == pytest.approx(0.5)
    assert memory.take(live(1000, GONE)) == ()


def test_the_outline_is_dotted_pale_and_named_without_a_cross():
    memory = TipMemory()
    memory.take(analysis(0, tip_at(50, 60)))
    lost = memory.take(analysis(500, GONE))
    scene = compose(analysis(500, GONE), lost=lost)
    strokes = [i for i in scene.items if isinstance(i, Stroke)]
    assert len(strokes) == 4 and {s.dash for s in strokes} == {Dash.DOTTED}
    assert [s.opacity for s in strokes] == pytest.approx([STALE_OPACITY * 0.5] * 4)
    assert [i.text for i in scene.items if isinstance(i, Label)] == ["lost"]
    assert {r.text() for r in scene.read_outs} == {"–"}
