from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training is not installed")

from puncta.formats.schemas import check  # noqa: E402
from puncta.session.bench import document_of  # noqa: E402
from puncta.training.latency import (  # noqa: E402
    REPEATS,
    SHIPPED,
    YOLOX,
    family_graphs,
    figures_of,
    name_of,
    ratio,
    time_in_turns,
)
from puncta.training.nets.ultratiny import KINDS  # noqa: E402


def test_every_network_runs_in_every_round(tmp_path: Path) -> None:
    graphs = family_graphs(tmp_path, size=64, yolox_size=64)
    assert set(graphs) == {YOLOX, *(name_of(k) for k in KINDS)}
    times = time_in_turns(graphs, rounds=3)
    assert all(v.shape == (3, REPEATS) and (v > 0).all() for v in times.values())


def test_ratios_are_of_the_same_round_and_told_against_what_is_to_be_reached() -> None:
    drift = np.repeat([[1.0], [1.0], [5.0], [9.0], [9.0]], REPEATS, axis=1)  # the machine gets busy half way
    times = {name_of(k): 2.0 * drift for k in KINDS} | {YOLOX: 8.0 * drift}
    times |= {f"{SHIPPED}_fp32": 4.0 * drift, f"{SHIPPED}_int8": 2.5 * drift}
    times[name_of("stream")] = 3.0 * drift
    assert ratio(times, YOLOX, f"{SHIPPED}_fp32") == pytest.approx(2.0)
    figures = figures_of(times, {name: name for name in times})
    by_name = {f.name: f for f in figures}
    assert by_name[f"yolox_nano_against_{SHIPPED}_fp32"].met is False
    assert by_name[f"yolox_nano_against_{SHIPPED}_int8"].met is True
    assert by_name["streamed_against_2d"].value == pytest.approx(1.5)
    assert by_name["streamed_against_2d"].met is True
    assert check("bench", document_of(figures)) == []
