from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tiny_model import SIZE, entry, write_network, write_registry, write_tiny_model

from puncta.core.errors import UserError
from puncta.inference import session as session_module
from puncta.inference.opener import opener_for
from puncta.inference.registry import ModelCard, Registry
from puncta.inference.session import Tuning, open_session
from puncta.sdk.context import TensorSpec


@pytest.fixture
def card(tmp_path: Path) -> ModelCard:
    return Registry.load(write_tiny_model(tmp_path / "models"), tmp_path / "none").find("tiny")


def picture(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((1, 1, *SIZE)).astype(np.float32)


def test_a_session_tells_what_it_is(card: ModelCard) -> None:
    session = open_session(card)
    assert session.identity == "tiny 0.1"
    assert session.sha256 == card.sha256
    assert session.spec["normalisation"] == "0..1"
    assert session.inputs == (TensorSpec("picture", (1, 1, 12, 16)),)
    assert session.outputs == (TensorSpec("map", (1, 1, 12, 16)),)


def test_the_network_computes_what_the_formula_says(card: ModelCard) -> None:
    value = picture()
    out = open_session(card).run({"picture": value})["map"]
    kernel = np.random.default_rng(0).standard_normal((3, 3)).astype(np.float32)
    padded = np.pad(value[0, 0], 1)
    expected = sum(2.0 * kernel[i, j] * padded[i : i + 12, j : j + 16] for i in range(3) for j in range(3))
    np.testing.assert_allclose(out[0, 0], expected, rtol=1e-4, atol=1e-5)
    assert out.dtype == np.float32


def test_deterministic_sessions_repeat_to_the_byte(card: ModelCard) -> None:
    runs = [open_session(card, Tuning.deterministic()).run({"picture": picture(3)})["map"].tobytes() for _ in range(3)]
    assert len(set(runs)) == 1


@pytest.mark.parametrize(
    ("feeds", "words"),
    [
        ({}, "takes picture, not nothing"),
        ({"image": picture()}, "takes picture, not image"),
        ({"picture": picture(), "more": picture()}, "not more, picture"),
        ({"picture": picture()[:, :, :5]}, r"shape \(1, 1, 12, 16\), not \(1, 1, 5, 16\)"),
        ({"picture": picture()[0]}, "must have shape"),
        ({"picture": picture().astype(np.float64)}, "array of float32, not float64"),
        ({"picture": picture().tolist()}, "array of float32, not list"),
    ],
)
def test_feeds_that_do_not_fit_are_told_plainly(card: ModelCard, feeds: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        open_session(card).run(feeds)


def test_a_free_dimension_takes_any_size(tmp_path: Path) -> None:
    folder = tmp_path / "models"
    folder.mkdir()
    sha256 = write_network(folder / "tiny.onnx", free_batch=True)
    card = Registry.load(write_registry(folder, entry(sha256=sha256)), tmp_path / "none").find("tiny")
    session = open_session(card)
    assert session.inputs[0].shape == (-1, 1, 12, 16)
    assert session.run({"picture": np.repeat(picture(), 3, axis=0)})["map"].shape == (3, 1, 12, 16)


def test_a_view_with_strides_is_fed_rightly(card: ModelCard) -> None:
    session = open_session(card)
    value = np.repeat(picture(1), 2, axis=3)[..., ::2]
    assert not value.flags.c_contiguous
    np.testing.assert_array_equal(session.run({"picture": value})["map"], session.run({"picture": value.copy()})["map"])


def test_the_bytes_that_were_hashed_are_the_bytes_that_run(card: ModelCard, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the check and the load the file is swapped; the session still computes with what was checked."""
    before = open_session(card).run({"picture": picture()})["map"]
    read = session_module.read_verified

    def read_then_swap(*args: object) -> bytes:
        data = read(*args)  # type: ignore[arg-type]
        write_network(card.folder / card.file, gain=100.0)
        return data

    monkeypatch.setattr(session_module, "read_verified", read_then_swap)
    np.testing.assert_array_equal(open_session(card).run({"picture": picture()})["map"], before)
    with pytest.raises(UserError, match="does not match"):
        open_session(card)


def test_a_file_that_is_no_model_is_one_sentence(tmp_path: Path) -> None:
    import hashlib

    folder = tmp_path / "models"
    folder.mkdir()
    (folder / "tiny.onnx").write_bytes(b"this is text")
    write_registry(folder, entry(sha256=hashlib.sha256(b"this is text").hexdigest()))
    card = Registry.load(folder, tmp_path / "none").find("tiny")
    with pytest.raises(UserError, match="cannot be opened by ONNX Runtime") as caught:
        open_session(card)
    assert "\n" not in str(caught.value)


def test_settings_that_do_not_exist_here_are_refused(card: ModelCard) -> None:
    with pytest.raises(UserError, match='provider "abacus" is not installed'):
        open_session(card, Tuning(provider="abacus"))
    with pytest.raises(UserError, match="has no int8 file; there are: fp32"):
        open_session(card, Tuning(precision="int8"))


def test_spinning_is_off_and_threads_are_as_told(monkeypatch: pytest.MonkeyPatch) -> None:
    for tuning in (Tuning(threads=2), Tuning.deterministic()):
        options = session_module._options(tuning)
        assert options.get_session_config_entry("session.intra_op.allow_spinning") == "0"
        assert options.intra_op_num_threads == tuning.threads
        assert options.inter_op_num_threads == 1
        assert options.use_deterministic_compute == tuning.repeatable


class TestOpener:
    @pytest.fixture
    def registry(self, tmp_path: Path) -> Registry:
        folder = tmp_path / "models"
        folder.mkdir()
        first, second = write_network(folder / "a.onnx"), write_network(folder / "b.onnx", gain=5.0)
        write_registry(folder, entry("a.onnx", first, default=True), entry("b.onnx", second, id="other", plugin="else"))
        return Registry.load(folder, tmp_path / "none")

    def test_none_opens_the_default_or_the_override(self, registry: Registry) -> None:
        assert opener_for("spot", registry=registry)().identity == "tiny 0.1"
        assert opener_for("spot", "other", registry=registry)().identity == "other 0.1"

    def test_a_plugin_may_name_a_model(self, registry: Registry) -> None:
        assert opener_for("spot", registry=registry)("other").identity == "other 0.1"

    def test_settings_are_passed_on(self, registry: Registry) -> None:
        session = opener_for("spot", tuning=Tuning.deterministic(), registry=registry)()
        assert session.tuning == Tuning.deterministic()  # type: ignore[attr-defined]

    def test_an_unknown_model_is_refused_when_asked_for(self, registry: Registry) -> None:
        open_model = opener_for("nobody", registry=registry)
        with pytest.raises(UserError, match="no model for the plugin"):
            open_model()
        with pytest.raises(UserError, match='no model "x"'):
            open_model("x")
