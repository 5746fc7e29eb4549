from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training is not installed")

from puncta.training.data import Clip  # noqa: E402
from puncta.training.familiar import clip_channels, fit_familiar, pool_features, shrink_covariance  # noqa: E402
from puncta.training.nets.tip_stream import TipStream  # noqa: E402

F = 24


def mixed(rng: np.random.Generator, n: int) -> np.ndarray:
    """Correlated features of very different scales."""
    mixing = np.eye(F) + 0.15 * np.random.default_rng(0).standard_normal((F, F))
    return (rng.standard_normal((n, F)) @ mixing) * np.geomspace(1e-2, 1e2, F) + np.linspace(-5, 5, F)


def strangeness(familiar: torch.nn.Module, rows: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return familiar(torch.from_numpy(rows.astype(np.float32))).numpy()


def test_with_many_rows_it_is_the_mahalanobis_distance() -> None:
    rng = np.random.default_rng(1)
    rows = mixed(rng, 20000)
    familiar = fit_familiar(rows)
    new = mixed(rng, 500)
    away = new - rows.mean(axis=0)
    exact = np.sqrt(np.einsum("ni,ij,nj->n", away, np.linalg.inv(np.cov(rows.T)), away))
    np.testing.assert_allclose(strangeness(familiar, new), exact, rtol=0.05)
    # Squared, it is chi-squared with F degrees of freedom.
    assert (strangeness(familiar, new) ** 2).mean() == pytest.approx(F, rel=0.1)


def test_few_rows_are_shrunk_and_new_ones_do_not_look_strange() -> None:
    rng = np.random.default_rng(2)
    few, new = mixed(rng, 40), mixed(rng, 400)
    _, share = shrink_covariance((few - few.mean(0)) / few.std(0))
    assert 0.05 < share < 1.0
    assert np.median(strangeness(fit_familiar(few), new)) < 1.6 * np.sqrt(F)
    strange = new + 8 * few.std(0) * rng.choice([-1, 1], (400, F))
    assert np.median(strangeness(fit_familiar(few), strange)) > 3 * np.sqrt(F)


def test_a_feature_that_never_varies_divides_nothing_by_zero() -> None:
    rows = mixed(np.random.default_rng(3), 200)
    rows[:, 4] = 2.0
    found = strangeness(fit_familiar(rows), rows)
    assert np.isfinite(found).all()
    with pytest.raises(ValueError, match="finite"):
        fit_familiar(np.full((5, F), np.nan))


def test_features_of_clips_leave_repeated_frames_out() -> None:
    rng = np.random.default_rng(4)
    frames = np.repeat(rng.integers(0, 255, (5, 288, 288)).astype(np.uint8), 2, axis=0)
    nowhere = np.full((10, 2), np.nan)
    clip = Clip("c", "test", "A", frames, nowhere, nowhere, np.zeros(10, np.int8), np.zeros((10, 2)), None)
    channels = clip_channels(clip, 64)
    assert channels.shape == (5, 5, 64, 64)
    net = TipStream(5, (8, 8, 16, 16, 16))
    features = pool_features(net, [channels, channels], every=2)
    assert features.shape == (6, net.feature_count)
