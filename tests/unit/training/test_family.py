"""Rows of a study: what they are taught, how they answer, and that they learn at all."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="training needs PyTorch; install the train extra")

from pathlib import Path  # noqa: E402

import numpy as np  # noqa: E402

from puncta.training.data import Clip  # noqa: E402
from puncta.training.family import (  # noqa: E402
    Answers,
    Row,
    answer_clips,
    build_net,
    leave_picture,
    reader_of,
    train_row,
    truth_of,
    twelve_rows,
)
from puncta.training.loop import LoopSettings  # noqa: E402
from puncta.training.untrained import Untrained, choose, finder  # noqa: E402


def a_clip(seed: int, frames: int = 8) -> Clip:
    """A bright line that grows into a grey picture; the last frame is not judged."""
    rng = np.random.default_rng(seed)
    pictures = rng.integers(20, 60, (frames, 288, 288)).astype(np.uint8)
    tips, entries = np.zeros((frames, 2)), np.tile([0.0, 40.0], (frames, 1))
    for k in range(frames):
        tips[k] = (60 + 20 * k, 40 + 12 * k)
        for s in np.linspace(0, 1, 400):
            x, y = entries[k] + s * (tips[k] - entries[k])
            pictures[k, int(y) - 2 : int(y) + 3, int(x)] = 240
    judged = np.ones(frames, np.int8)
    judged[-1] = -1
    tips[-1] = entries[-1] = np.nan
    return Clip(f"c{seed}", "test", "A", pictures, tips, entries, judged, np.zeros((frames, 2)), (0.1, 0.1))


def test_the_poster_has_twelve_rows_that_add_one_thing_at_a_time() -> None:
    rows = twelve_rows()
    assert len({r.name for r in rows}) == 12
    assert rows[0] == Row("ut2d", kind="2d")
    assert rows[-1] == Row("ut3d-aug-focal-pose", kind="3d", augment=True, focal_gamma=1.5, constraints=True)


def test_truth_keeps_judged_frames_and_scales_to_the_input() -> None:
    truth = truth_of([a_clip(1), a_clip(2)], 96)
    assert truth.clip.tolist() == [0] * 7 + [1] * 7
    assert truth.frame.tolist() == [*range(7), *range(7)]
    assert truth.tip_px[0] == pytest.approx((60.5 / 3 - 0.5, 40.5 / 3 - 0.5))
    assert truth.mm_per_px[0] == pytest.approx((0.3, 0.3))
    assert len(truth_of([a_clip(1)], 96, every=3).clip) == 3


SETTINGS = {"batch": 4, "learning_rate": 3e-3, "weight_decay": 1e-3, "ema": 0.9, "warm_up": 0.05, "seed": 1, "size": 64,
            "threads": 1}


@pytest.mark.parametrize(
    "row",
    [Row("a", kind="2d", size=64), Row("b", kind="3d", size=64), Row("c", kind="stream", size=64, frames=4),
     Row("d", net="tip_stream", widths=(8, 8, 8, 8, 8), size=64, frames=2)],
    ids=["2d", "3d", "stream", "tip_stream"],
)
def test_a_row_learns_a_bright_line_and_answers_on_judged_frames(row: Row, tmp_path: Path) -> None:
    clips = [a_clip(k) for k in range(4)]
    losses: list[float] = []
    settings = LoopSettings(samples=4 * 30, **SETTINGS)
    net, done = train_row(row, [(1.0, clips)], settings, tmp_path,
                          lambda _step, parts, _rate: losses.append(sum(parts.values())))
    assert done
    assert losses[-1] < 0.8 * losses[0]
    truth = truth_of(clips[:2], 64)
    answers = answer_clips(reader_of(row, net), clips[:2], truth)
    assert answers.tip_px.shape == answers.entry_px.shape == truth.tip_px.shape
    assert ((answers.score >= 0) & (answers.score <= 1)).all()


def lively(row: Row) -> torch.nn.Module:
    """An untrained network whose norms have seen numbers, so that its answers are not all alike."""
    torch.manual_seed(5)
    net = build_net(row)
    for part in net.modules():
        if hasattr(part, "running_var"):
            part.momentum = 1.0
    shape = (2, 4, 5, 64, 64) if row.net == "tip_stream" else (2, 4, 64, 64)
    with torch.no_grad():
        net.train()(torch.randn(shape))
    return net.eval()


@pytest.mark.parametrize("row", [Row("a", kind="3d", size=64), Row("c", kind="stream", size=64),
                                 Row("d", net="tip_stream", widths=(8, 8, 8, 8, 8), size=64)], ids=lambda r: r.name)
def test_an_answer_does_not_depend_on_later_frames(row: Row) -> None:
    frames = np.random.default_rng(1).integers(0, 255, (6, 64, 64)).astype(np.uint8)
    answer = reader_of(row, lively(row))
    asked = np.array([0, 3])
    whole, cut = answer(frames, asked), answer(frames[:4], asked)
    np.testing.assert_allclose(whole.tip_px, cut.tip_px, atol=0.2)  # half precision
    other = frames.copy()
    other[2] = 255 - other[2]
    assert np.abs(answer(other, asked).score[1] - whole.score[1]) > 0


def test_a_batch_has_to_hold_whole_runs(tmp_path: Path) -> None:
    settings = LoopSettings(samples=8, **SETTINGS)
    with pytest.raises(ValueError, match="whole number of runs"):
        train_row(Row("c", kind="stream", frames=3), [(1.0, [a_clip(1)])], settings, tmp_path)


def test_an_axis_ends_at_the_border_or_where_the_picture_is_black() -> None:
    grey = np.full((100, 100), 80, np.uint8)
    assert leave_picture(grey, (50.0, 60.0), (-0.8, -0.6)) == pytest.approx((0.0, 22.5), abs=1.0)
    grey[:, :20] = 0
    x, _ = leave_picture(grey, (50.0, 60.0), (-0.8, -0.6)) or (0.0, 0.0)
    assert x == pytest.approx(19.0, abs=2.0)
    assert leave_picture(grey, (50.0, 60.0), (0.0, 0.0)) is None


def test_a_finder_without_training_takes_what_is_new() -> None:
    rng = np.random.default_rng(3)
    frames = rng.integers(20, 40, (4, 64, 64)).astype(np.uint8)
    frames[:, 10:14, 10:14] = 255  # bright, but always there
    frames[3, 40:43, 50:53] = 120
    asked = np.array([3])
    brightest = finder(Untrained("brightest", 0, 0.016))(frames, asked)
    newest = finder(Untrained("history", 3, 0.016))(frames, asked)
    assert brightest.tip_px[0] == pytest.approx((11.5, 11.5), abs=1.0)
    assert newest.tip_px[0] == pytest.approx((51.0, 41.0), abs=1.0)
    assert np.isnan(newest.entry_px).all()


def test_the_best_setting_of_a_finder_is_chosen() -> None:
    clips = [a_clip(1, 4)]
    truth = truth_of(clips, 64)

    def wide(answers: Answers) -> float:
        return float(answers.score.mean())

    how, answers = choose("difference", clips, truth, wide)
    others = [answer_clips(finder(Untrained("difference", h, how.smoothing)), clips, truth) for h in (1, 3)]
    assert wide(answers) == max(wide(a) for a in others)
    with pytest.raises(ValueError, match="no tip finder"):
        choose("oracle", clips, truth, wide)
