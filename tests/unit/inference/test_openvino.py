from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tiny_model import SIZE, entry, write_network, write_registry, write_tiny_model

from puncta.core.errors import UserError
from puncta.inference.registry import ModelCard, Registry
from puncta.inference.session import Tuning, available_providers, open_session
from puncta.inference.tuning import measure, remember, tuning_for

needs_openvino = pytest.mark.skipif(
    "openvino" not in available_providers(), reason="the optional package openvino is not installed"
)


@pytest.fixture
def card(tmp_path: Path) -> ModelCard:
    return Registry.load(write_tiny_model(tmp_path / "models"), tmp_path / "none").find("tiny")


def picture(seed: int = 0, batch: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).random((batch, 1, *SIZE)).astype(np.float32)


def test_without_the_package_it_is_refused_plainly(card: ModelCard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("puncta.inference.session.importlib.util.find_spec", lambda name: None)
    assert available_providers() == ("cpu",)
    with pytest.raises(UserError, match='provider "openvino" is not installed here'):
        open_session(card, Tuning(provider="openvino"))


@needs_openvino
def test_it_agrees_with_the_reference_and_checks_feeds(card: ModelCard) -> None:
    reference, session = open_session(card), open_session(card, Tuning(provider="openvino"))
    assert (session.inputs, session.outputs) == (reference.inputs, reference.outputs)
    first = session.run({"picture": picture(1)})["map"]
    kept = first.copy()
    session.run({"picture": picture(2)})
    np.testing.assert_array_equal(first, kept)  # a later run leaves earlier results alone
    wanted = reference.run({"picture": picture(1)})["map"]
    assert np.abs(first - wanted).max() <= 0.02 * np.ptp(wanted)
    with pytest.raises(ValueError, match="must have shape"):
        session.run({"picture": picture()[:, :, :3]})


@needs_openvino
def test_free_dimensions_stay_free(tmp_path: Path) -> None:
    folder = tmp_path / "models"
    folder.mkdir()
    sha256 = write_network(folder / "tiny.onnx", free_batch=True)
    card = Registry.load(write_registry(folder, entry(sha256=sha256)), tmp_path / "none").find("tiny")
    session = open_session(card, Tuning(provider="openvino"))
    assert session.run({"picture": picture(batch=3)})["map"].shape == (3, 1, *SIZE)


@needs_openvino
def test_it_is_measured_and_remembered_where_it_wins(card: ModelCard) -> None:
    table = measure(card)
    assert table is not None
    rows = [r for r in table.rows if r.provider == "openvino"]
    assert rows and all(r.agrees for r in rows)
    remember(card, table)
    assert tuning_for(card) == table.tuning


@needs_openvino
def test_a_file_that_is_no_model_is_one_sentence(tmp_path: Path) -> None:
    import hashlib

    folder = tmp_path / "models"
    folder.mkdir()
    (folder / "tiny.onnx").write_bytes(b"this is text")
    write_registry(folder, entry(sha256=hashlib.sha256(b"this is text").hexdigest()))
    card = Registry.load(folder, tmp_path / "none").find("tiny")
    with pytest.raises(UserError, match="cannot be opened by OpenVINO"):
        open_session(card, Tuning(provider="openvino"))
