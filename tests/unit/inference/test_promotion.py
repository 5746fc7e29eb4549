from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest
from tiny_model import entry, write_network, write_registry, write_tiny_model

from puncta.core.errors import UserError
from puncta.formats.session import lock
from puncta.formats.validate import validate
from puncta.inference import promotion
from puncta.inference.opener import choose_card
from puncta.inference.promotion import history, promote, promoted, roll_back
from puncta.inference.registry import Registry


@pytest.fixture
def places(tmp_path: Path) -> tuple[Path, Path]:
    """Shipped `tiny` 0.1 (the default) and 0.2; the user's `mine` 0.9, marked default too as a training does."""
    shipped, user = tmp_path / "shipped", tmp_path / "user"
    write_tiny_model(shipped)
    sha256 = write_network(shipped / "tiny2.onnx", gain=3.0)
    own = Registry.load(shipped, user).find("tiny").sha256
    write_registry(
        shipped, entry(sha256=own, default=True), entry("tiny2.onnx", sha256, version="0.2")
    )
    user.mkdir()
    mine = write_network(user / "mine.onnx", gain=4.0)
    write_registry(user, entry("mine.onnx", mine, id="mine", version="0.9", default=True))
    return shipped, user


def in_use(places: tuple[Path, Path]) -> str:
    return Registry.load(*places).default_for("spot").identity


def put(places: tuple[Path, Path], model: str) -> str:
    registry = Registry.load(*places)
    return promote(registry, registry.find(model), places[1]).model


def test_a_users_model_marked_default_does_not_win_by_itself(places: tuple[Path, Path]) -> None:
    assert in_use(places) == "tiny 0.1"
    assert choose_card(Registry.load(*places), "spot", manifest_model="tiny").identity == "tiny 0.1"


def test_a_users_newer_version_of_a_shipped_model_does_not_win_by_itself(places: tuple[Path, Path]) -> None:
    shipped, user = places
    write_registry(user, entry("mine.onnx", write_network(user / "mine.onnx", gain=4.0), version="7", default=True))
    assert in_use(places) == "tiny 0.1"
    registry = Registry.load(*places)
    assert choose_card(registry, "spot", manifest_model="tiny").identity == "tiny 0.1"
    assert choose_card(registry, "spot", "tiny").identity == "tiny 7", "what the user names is taken"


def test_where_only_the_user_has_a_model_it_is_used(places: tuple[Path, Path], tmp_path: Path) -> None:
    assert Registry.load(tmp_path / "none", places[1]).default_for("spot").identity == "mine 0.9"


def test_promotions_come_into_force_and_are_taken_back_one_by_one(places: tuple[Path, Path]) -> None:
    user = places[1]
    assert put(places, "mine") == "mine 0.9"
    assert in_use(places) == "mine 0.9"
    assert put(places, "tiny@0.2") == "tiny 0.2"
    assert in_use(places) == "tiny 0.2"
    assert [p.model for p in history("spot", user)] == ["mine 0.9", "tiny 0.2"]
    newest = promoted("spot", user)
    assert newest is not None and newest.sha256 == Registry.load(*places).find("tiny@0.2").sha256
    assert Registry.load(*places).promotion_of(Registry.load(*places).find("tiny@0.2")) == newest
    assert roll_back(Registry.load(*places), "spot", user).identity == "mine 0.9"
    assert in_use(places) == "mine 0.9"
    assert roll_back(Registry.load(*places), "spot", user).identity == "tiny 0.1"
    assert in_use(places) == "tiny 0.1" and promoted("spot", user) is None
    with pytest.raises(UserError, match='No model is promoted for the plugin "spot"'):
        roll_back(Registry.load(*places), "spot", user)


def test_a_promotion_holds_for_a_plugin_whose_manifest_names_a_model(places: tuple[Path, Path]) -> None:
    put(places, "mine")
    registry = Registry.load(*places)
    assert choose_card(registry, "spot", manifest_model="tiny").identity == "mine 0.9"
    assert choose_card(registry, "spot", "tiny@0.1", "tiny").identity == "tiny 0.1", "what the user names goes first"
    assert choose_card(registry, "other", manifest_model="tiny").identity == "tiny 0.1", "another plugin's choice"


def test_the_model_in_use_is_refused_in_one_sentence(places: tuple[Path, Path]) -> None:
    with pytest.raises(UserError, match='uses the model "tiny 0.1" already'):
        put(places, "tiny@0.1")
    assert not (places[1] / "promoted.json").exists()
    put(places, "mine")
    with pytest.raises(UserError, match='uses the model "mine 0.9" already'):
        put(places, "mine")
    assert len(history("spot", places[1])) == 1


def test_a_changed_file_is_not_promoted(places: tuple[Path, Path]) -> None:
    path = places[1] / "mine.onnx"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(UserError, match="does not match its recorded hash"):
        put(places, "mine")
    assert in_use(places) == "tiny 0.1"


def test_a_promoted_model_that_is_gone_gives_way_and_is_told(places: tuple[Path, Path]) -> None:
    put(places, "mine")
    write_registry(places[1])
    registry = Registry.load(*places)
    assert registry.default_for("spot").identity == "tiny 0.1"
    (problem,) = registry.problems
    assert "is not registered any more" in problem and 'uses "tiny 0.1"' in problem and "rollback spot" in problem


def test_a_model_that_was_trained_anew_under_its_name_is_not_the_promoted_one(places: tuple[Path, Path]) -> None:
    put(places, "mine")
    sha256 = write_network(places[1] / "mine.onnx", gain=5.0)
    write_registry(places[1], entry("mine.onnx", sha256, id="mine", version="0.9"))
    registry = Registry.load(*places)
    assert registry.default_for("spot").identity == "tiny 0.1"
    assert "another file than the one that was promoted" in registry.problems[0]
    put(places, "mine")
    assert in_use(places) == "mine 0.9" and Registry.load(*places).problems == ()


def test_a_plugins_own_model_can_be_promoted(places: tuple[Path, Path], tmp_path: Path) -> None:
    write_tiny_model(tmp_path / "plugin" / "models", id="brought", default=True)
    registry = Registry.load(tmp_path / "none", places[1]).with_plugin_models(tmp_path / "plugin")
    assert registry.default_for("spot").identity == "brought 0.1"
    promote(registry, registry.find("mine"), places[1])
    again = Registry.load(tmp_path / "none", places[1]).with_plugin_models(tmp_path / "plugin")
    assert again.default_for("spot").identity == "mine 0.9"
    promote(again, again.find("brought"), places[1])
    assert Registry.load(tmp_path / "none", places[1]).with_plugin_models(tmp_path / "plugin").problems == ()


def test_a_damaged_file_is_told_and_set_aside_never_lost(places: tuple[Path, Path]) -> None:
    put(places, "mine")
    path = places[1] / "promoted.json"
    path.write_text('{"format": "puncta-promotions"', encoding="utf-8")
    registry = Registry.load(*places)
    assert registry.default_for("spot").identity == "tiny 0.1"
    assert len(registry.problems) == 1 and "is not JSON" in registry.problems[0]
    with pytest.raises(UserError, match="is not JSON"):
        roll_back(registry, "spot", places[1])
    put(places, "tiny@0.2")
    assert in_use(places) == "tiny 0.2"
    assert (places[1] / "promoted-damaged-1.json").read_text(encoding="utf-8") == '{"format": "puncta-promotions"'


def test_the_file_keeps_its_format(places: tuple[Path, Path]) -> None:
    put(places, "mine")
    report = validate(places[1] / "promoted.json")
    assert (report.kind, report.problems, report.notes) == ("promotions", (), ("spot uses mine 0.9",))
    roll_back(Registry.load(*places), "spot", places[1])
    assert json.loads((places[1] / "promoted.json").read_text(encoding="utf-8"))["plugins"] == {}


def test_another_program_that_changes_models_is_waited_for_by_the_user(places: tuple[Path, Path]) -> None:
    if os.name == "nt":
        pytest.skip("files are not locked that way on Windows")
    with (places[1] / ".changing").open("ab") as file:
        assert lock(file)
        with pytest.raises(UserError, match="right now; try again"):
            put(places, "mine")
    assert put(places, "mine") == "mine 0.9"


KILLED = """
import os, sys
from pathlib import Path
from puncta.formats import atomic
from puncta.inference.promotion import promote
from puncta.inference.registry import Registry

places, at = (Path(sys.argv[1]), Path(sys.argv[2])), sys.argv[3]
replace, fsync = os.replace, os.fsync
def die(*_):
    os.kill(os.getpid(), 9)
if at == "before the file is on the disk":
    os.fsync = die
elif at == "before it is in its place":
    os.replace = die
else:
    os.replace = lambda *names: (replace(*names), die())
registry = Registry.load(*places)
promote(registry, registry.find("tiny@0.2"), places[1])
"""


@pytest.mark.parametrize(
    ("at", "model"),
    [
        ("before the file is on the disk", "mine 0.9"),
        ("before it is in its place", "mine 0.9"),
        ("after it is in its place", "tiny 0.2"),
    ],
)
def test_a_kill_leaves_the_old_choice_or_the_new_one(places: tuple[Path, Path], at: str, model: str) -> None:
    if not hasattr(signal, "SIGKILL"):
        pytest.skip("there is no kill -9 here")
    put(places, "mine")
    call = [sys.executable, "-c", KILLED, *(str(p) for p in places), at]
    assert subprocess.run(call, check=False, timeout=120).returncode == -signal.SIGKILL
    registry = Registry.load(*places)
    assert (registry.default_for("spot").identity, registry.problems) == (model, ())
    other = "tiny@0.2" if model == "mine 0.9" else "mine"
    assert put(places, other), "the lock of the killed program is gone with it"


def test_what_another_window_removes_just_before_is_not_promoted(
    places: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    changing = promotion.changing

    @contextlib.contextmanager
    def after_another(folder: Path | None = None) -> Iterator[Path]:
        write_registry(places[1], entry("mine.onnx", write_network(places[1] / "mine.onnx", gain=5.0), id="mine",
                                        version="0.9"))  # fmt: skip
        with changing(folder) as place:
            yield place

    monkeypatch.setattr(promotion, "changing", after_another)
    with pytest.raises(UserError, match="removed or replaced meanwhile"):
        put(places, "mine")
    assert history("spot", places[1]) == () and Registry.load(*places).problems == ()


def test_in_use_is_what_the_manifest_names_and_a_rollback_goes_back_to_it(places: tuple[Path, Path]) -> None:
    named = {"spot": "tiny@0.2"}
    registry = Registry.load(*places).with_manifest_models(named)
    assert choose_card(registry, "spot", manifest_model=named["spot"]).identity == "tiny 0.2"
    assert registry.is_in_use(registry.find("tiny@0.2")) and not registry.is_in_use(registry.find("tiny@0.1"))
    promote(registry, registry.find("tiny@0.1"), places[1])
    again = Registry.load(*places).with_manifest_models(named)
    assert again.is_in_use(again.find("tiny@0.1"))
    assert roll_back(again, "spot", places[1]).identity == "tiny 0.2"


def test_where_the_manifest_names_no_model_that_is_there_none_is_in_use(places: tuple[Path, Path]) -> None:
    registry = Registry.load(*places).with_manifest_models({"spot": "gone"})
    assert not any(registry.is_in_use(card) for card in registry.cards) and registry.used_by("spot") is None
    promote(registry, registry.find("mine"), places[1])
    again = Registry.load(*places).with_manifest_models({"spot": "gone"})
    assert again.is_in_use(again.find("mine"))


def test_another_program_that_changes_the_models_is_waited_for(places: tuple[Path, Path]) -> None:
    with promotion.changing(places[1]):
        pass
    held = (places[1] / promotion.LOCK_NAME).open("ab")
    if not lock(held) or os.name == "nt":
        held.close()
        pytest.skip("this system locks no file")
    looks: list[bool] = []

    def let_go(file: IO[bytes]) -> bool:
        if looks:
            held.close()
        looks.append(lock(file))
        return looks[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(promotion, "lock", let_go)
        with promotion.changing(places[1], wait_s=60.0):
            assert looks == [False, True]
