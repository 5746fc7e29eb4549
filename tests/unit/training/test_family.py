from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="training needs PyTorch; install the train extra")

from pathlib import Path  # noqa: E402

import numpy as np  # noqa: E402

from puncta.training.data import Clip  # noqa: E402
from puncta.training.family import (  # noqa: E402
    Answer,
    Run,
    answer_clips,
    best_threshold,
    evaluate_run,
    train_run,
    twelve_runs,
)
from puncta.training.loop import LoopSettings  # noqa: E402
from puncta.training.pose import Pose  # noqa: E402


def answer(clip: int, score: float, off_px: float, needle: bool = True) -> Answer:
    """A needle from (0, 20) to (80, 60), found with its tip ``off_px`` to the right; half a millimetre a pixel."""
    pose = Pose(score, (80.0 + off_px, 60.0), (0.0, 20.0), (0.0, 18.0, 82.0 + off_px, 62.0))
    return Answer(clip, pose, (80.0, 60.0) if needle else None, (0.0, 20.0) if needle else None, (0.5, 0.5))


def test_the_poster_has_twelve_rows_that_add_one_thing_at_a_time() -> None:
    runs = twelve_runs()
    assert len({r.name for r in runs}) == 12
    assert runs[0].name == "2d"
    assert runs[-1].name == "3d+aug+focal+pose"


def test_figures_of_known_answers() -> None:
    answers = [
        answer(0, 0.9, 0.0), answer(0, 0.8, 2.0), answer(1, 0.7, 5.0), answer(1, 0.2, 0.0),
        answer(2, 0.6, 0.0, needle=False), answer(2, 0.1, 0.0, needle=False),
    ]
    found = evaluate_run(answers, clips=3, threshold=0.5)
    assert found["tip_within_2mm"].value == pytest.approx(2 / 4)  # one is 2.5 mm off, one below the threshold
    assert found["tip_within_3mm"].value == pytest.approx(3 / 4)
    assert found["tip_error_mm"].value == pytest.approx(1.0)
    assert found["miss_rate"].value == pytest.approx(1 / 4)
    assert found["false_alarm_rate"].value == pytest.approx(1 / 2)
    # Hits at ranks 1, 2, 3 and 5 of 4 needles, a false one at rank 4: 76 of 101 recalls at 1, 25 at 4/5.
    assert found["needle_ap50"].value == pytest.approx((76 + 25 * 0.8) / 101)
    assert best_threshold(answers) == 0.2


def a_clip(seed: int) -> Clip:
    """A bright line that grows into a grey picture."""
    rng = np.random.default_rng(seed)
    frames = rng.integers(20, 60, (8, 288, 288)).astype(np.uint8)
    tips, entries = np.zeros((8, 2)), np.tile([0.0, 40.0], (8, 1))
    for k in range(8):
        tips[k] = (60 + 20 * k, 40 + 12 * k)
        for s in np.linspace(0, 1, 400):
            x, y = entries[k] + s * (tips[k] - entries[k])
            frames[k, int(y) - 2 : int(y) + 3, int(x)] = 240
    return Clip(f"c{seed}", "test", "A", frames, tips, entries, np.ones(8, np.int8), np.zeros((8, 2)), (0.1, 0.1))


@pytest.mark.parametrize("kind", ["2d", "3d"])
def test_a_run_learns_a_bright_line(kind: str, tmp_path: Path) -> None:
    run = Run(kind)  # type: ignore[arg-type]
    settings = LoopSettings(samples=4 * 30, batch=4, learning_rate=3e-3, weight_decay=1e-3, ema=0.9, warm_up=0.05,
                            seed=1, size=64, threads=1)
    clips = [a_clip(k) for k in range(4)]
    losses: list[float] = []
    net = train_run(run, clips, settings, tmp_path, lambda _step, parts, _rate: losses.append(sum(parts.values())))
    assert losses[-1] < 0.8 * losses[0]
    answers = answer_clips(net, run, clips[:1], 64)
    assert len(answers) == 8
    assert answers[0].scale == pytest.approx((0.45, 0.45))
