from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from tiny_model import entry, write_network, write_registry, write_tiny_model

from puncta import paths
from puncta.core.errors import UserError
from puncta.inference import tuning as tuning_module
from puncta.inference.registry import ModelCard, Registry
from puncta.inference.session import Tuning
from puncta.inference.tuning import TuningRow, deviation_from, measure, remember, stored_tuning, tuning_for


@pytest.fixture
def card(tmp_path: Path) -> ModelCard:
    return Registry.load(write_tiny_model(tmp_path / "models"), tmp_path / "none").find("tiny")


class FastClock:
    """Every look at the clock takes 30 ms, so that a measurement ends after the least number of runs."""

    def __init__(self) -> None:
        self.now = 0

    def __call__(self) -> int:
        self.now += 30_000_000
        return self.now


def row(threads: int, p95_ms: float | None, agrees: bool = True, precision: str = "fp32") -> TuningRow:
    return TuningRow("cpu", threads, precision, p95_ms, p95_ms, 0.0, agrees)


def test_measuring_never_happens_by_itself(card: ModelCard) -> None:
    assert stored_tuning(card) is None
    assert tuning_for(card) == Tuning()
    assert not paths.user_cache_dir().exists()


def test_what_was_measured_is_kept(card: ModelCard) -> None:
    table = measure(card, clock_ns=FastClock())
    assert table is not None
    assert {r.threads for r in table.rows} == set(range(1, min(4, table.cores) + 1))
    assert all(r.agrees and r.median_ms == pytest.approx(30.0) for r in table.rows)
    remember(card, table)
    assert stored_tuning(card) == table.tuning
    # All candidates take the same time by this clock, so the fewest threads win.
    assert table.tuning.threads == 1


def test_a_variant_whose_outputs_differ_does_not_count(tmp_path: Path) -> None:
    folder = tmp_path / "models"
    folder.mkdir()
    sha256, other = write_network(folder / "tiny.onnx"), write_network(folder / "wrong.onnx", gain=2.5)
    write_registry(
        folder, entry(sha256=sha256, variants=[{"precision": "int8", "file": "wrong.onnx", "sha256": other}])
    )
    card = Registry.load(folder, tmp_path / "none").find("tiny")
    table = measure(card, clock_ns=FastClock())
    assert table is not None
    wrong = [r for r in table.rows if r.precision == "int8"]
    assert wrong and not any(r.agrees for r in wrong)
    assert "differ" in wrong[0].note
    assert table.tuning.precision == "fp32"


def test_a_close_variant_counts(tmp_path: Path) -> None:
    folder = tmp_path / "models"
    folder.mkdir()
    sha256, other = write_network(folder / "tiny.onnx"), write_network(folder / "close.onnx", gain=2.001)
    write_registry(
        folder, entry(sha256=sha256, variants=[{"precision": "int8", "file": "close.onnx", "sha256": other}])
    )
    table = measure(Registry.load(folder, tmp_path / "none").find("tiny"), clock_ns=FastClock())
    assert table is not None
    assert all(r.agrees for r in table.rows)


def test_a_variant_may_differ_as_far_as_it_did_where_it_was_accepted(tmp_path: Path) -> None:
    folder = tmp_path / "models"
    folder.mkdir()
    sha256, other = write_network(folder / "tiny.onnx"), write_network(folder / "rough.onnx", gain=2.2)
    variants = [{"precision": "int8", "file": "rough.onnx", "sha256": other}]
    found = []
    for known in ({}, {"int8_deviation": 0.05}, {"int8_deviation": "?"}, {"int8_deviation": 0.15}):
        write_registry(folder, entry(sha256=sha256, variants=variants, metrics=known))
        table = measure(Registry.load(folder, tmp_path / "none").find("tiny"), clock_ns=FastClock())
        assert table is not None
        found.append(all(r.agrees for r in table.rows))
    assert found == [False, False, False, True]


def test_a_damaged_variant_is_a_row_with_a_reason(tmp_path: Path) -> None:
    folder = tmp_path / "models"
    folder.mkdir()
    sha256 = write_network(folder / "tiny.onnx")
    (folder / "bad.onnx").write_bytes(b"nonsense")
    write_registry(
        folder, entry(sha256=sha256, variants=[{"precision": "int8", "file": "bad.onnx", "sha256": "3" * 64}])
    )
    table = measure(Registry.load(folder, tmp_path / "none").find("tiny"), clock_ns=FastClock())
    assert table is not None
    bad = [r for r in table.rows if r.precision == "int8"]
    assert bad[0].p95_ms is None and "does not match" in bad[0].note
    assert table.tuning.precision == "fp32"


def test_a_cancelled_measurement_gives_nothing(card: ModelCard) -> None:
    assert measure(card, cancelled=lambda: True, clock_ns=FastClock()) is None


@pytest.mark.parametrize(
    ("rows", "best"),
    [
        ([row(1, 10.0), row(2, 6.0)], 1),
        ([row(1, 6.5), row(2, 6.0)], 0),  # within 10 %: fewer threads
        ([row(1, 10.0), row(2, 1.0, agrees=False)], 0),
        ([row(1, 10.0), row(1, 5.0, precision="int8"), row(2, 4.9, precision="int8")], 1),
        ([row(1, None, agrees=False), row(2, None, agrees=False)], 0),
    ],
)
def test_the_choice(rows: list[TuningRow], best: int) -> None:
    assert tuning_module._best(rows) == best


def test_deviation_is_a_share_of_the_range() -> None:
    truth = [{"map": np.array([0.0, 10.0], np.float32)}]
    assert deviation_from(truth, [{"map": np.array([0.0, 9.0], np.float32)}]) == pytest.approx(0.1)
    assert deviation_from(truth, [{"map": np.array([0.0, np.nan], np.float32)}]) == float("inf")
    assert deviation_from(truth, [{"map": np.zeros(3, np.float32)}]) == float("inf")
    assert deviation_from(truth, [{}]) == float("inf")


def test_a_single_number_is_compared_with_its_size_for_a_few_samples_have_no_range() -> None:
    truth = [{"score": np.array([v], np.float32)} for v in (10.0, 10.1)]
    assert deviation_from(truth, [{"score": np.array([v], np.float32)} for v in (10.0, 10.6)]) == pytest.approx(
        0.5 / 10.1, rel=1e-3
    )


@pytest.mark.parametrize("changed", ["cpu_name", "runtime_version", "core_count"])
def test_another_machine_or_runtime_is_measured_anew(
    card: ModelCard, changed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = measure(card, clock_ns=FastClock())
    assert table is not None
    remember(card, table)
    monkeypatch.setattr(tuning_module, changed, lambda: "another" if changed != "core_count" else 99)
    assert stored_tuning(card) is None


@pytest.mark.parametrize(
    "text",
    [
        "not json",
        "[]",
        '{"version": 7, "entries": {}}',
        '{"version": 1, "entries": []}',
    ],
)
def test_a_damaged_cache_is_as_if_it_were_not_there(card: ModelCard, text: str) -> None:
    file = paths.user_cache_dir() / "tuning.json"
    file.parent.mkdir(parents=True)
    file.write_text(text, encoding="utf-8")
    assert tuning_for(card) == Tuning()


@pytest.mark.parametrize("change", [{"threads": 99}, {"threads": "2"}, {"provider": "abacus"}, {"precision": "int4"}])
def test_a_wrong_entry_in_the_cache_is_not_used(card: ModelCard, change: dict) -> None:
    table = measure(card, clock_ns=FastClock())
    assert table is not None
    remember(card, table)
    file = paths.user_cache_dir() / "tuning.json"
    content = json.loads(file.read_text(encoding="utf-8"))
    for kept in content["entries"].values():
        kept.update(change)
    file.write_text(json.dumps(content), encoding="utf-8")
    assert stored_tuning(card) is None


def test_a_cache_that_cannot_be_written_is_one_sentence(card: ModelCard, user_home: Path) -> None:
    table = measure(card, clock_ns=FastClock())
    assert table is not None
    (user_home / "cache").write_text("a file where the folder should be", encoding="utf-8")
    with pytest.raises(UserError, match="cannot be kept"):
        remember(card, table)
