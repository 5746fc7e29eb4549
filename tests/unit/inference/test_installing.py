from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from tiny_model import entry, write_network, write_registry, write_tiny_model

from puncta.core.errors import UserError
from puncta.formats.validate import validate
from puncta.inference.installing import install, remove
from puncta.inference.promotion import promote
from puncta.inference.registry import Registry


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A folder with `tiny` 0.1 and its 8-bit variant, a card with a picture, and the run that made it."""
    folder = write_tiny_model(tmp_path / "made")
    sha256 = write_network(folder / "small.onnx", gain=3.0)
    own = Registry.load(folder, tmp_path / "none").find("tiny").sha256
    variants = [{"precision": "int8", "file": "small.onnx", "sha256": sha256}]
    write_registry(folder, entry(sha256=own, variants=variants, default=True))
    (folder / "tiny.md").write_text("# tiny\n\n![failures](tiny-failures.png)\n", encoding="utf-8")
    (folder / "tiny-failures.png").write_bytes(b"a picture")
    (folder / "runs" / "tiny-0.1").mkdir(parents=True)
    (folder / "runs" / "tiny-0.1" / "weights.pt").write_bytes(b"weights")
    return folder


@pytest.fixture
def user(tmp_path: Path) -> Path:
    return tmp_path / "user"


def test_everything_comes_along_and_nothing_is_used_by_itself(source: Path, user: Path, tmp_path: Path) -> None:
    shipped = write_tiny_model(tmp_path / "shipped", id="first", default=True)
    (one,) = install(source, folder=user)
    assert (one.identity, one.plugin, one.new) == ("tiny 0.1", "spot", True)
    registry = Registry.load(shipped, user)
    card = registry.find("tiny")
    registry.verify(card)
    assert registry.problems == () and card.origin == "user" and card.default is False
    assert [f.file for f in card.files] == ["tiny-0.1.onnx", "tiny-0.1-int8.onnx"]
    assert card.card_path.read_text(encoding="utf-8") == "# tiny\n\n![failures](tiny-0.1-tiny-failures.png)\n"
    assert (user / "tiny-0.1-tiny-failures.png").read_bytes() == b"a picture"
    assert (user / "runs" / "tiny-0.1" / "weights.pt").read_bytes() == b"weights"
    assert registry.default_for("spot").identity == "first 0.1"
    assert validate(user / "registry.toml").problems == ()
    assert sorted(p.name for p in user.glob("**/.*")) == [".changing"], "no temporary file is left"


def test_again_is_told_and_changes_nothing(source: Path, user: Path) -> None:
    install(source, folder=user)
    before = (user / "registry.toml").read_bytes()
    assert [one.new for one in install(source / "registry.toml", folder=user)] == [False]
    assert (user / "registry.toml").read_bytes() == before


def test_a_models_file_names_its_model(source: Path, user: Path) -> None:
    (one,) = install(source / "tiny.onnx", folder=user)
    assert one.identity == "tiny 0.1"
    (source / "other.onnx").write_bytes(b"x")
    with pytest.raises(UserError, match="names no model with the file other.onnx"):
        install(source / "other.onnx", folder=user)


def test_one_of_several_can_be_chosen_and_others_stay(source: Path, user: Path) -> None:
    table = tomllib.loads((source / "registry.toml").read_text(encoding="utf-8"))["models"][0]
    write_registry(source, table, {**table, "version": "0.2"})
    assert [one.identity for one in install(source, ["tiny@0.2"], user)] == ["tiny 0.2"]
    assert [one.identity for one in install(source, folder=user) if one.new] == ["tiny 0.1"]
    assert [c.version for c in Registry.load(user / "none", user).cards] == ["0.2", "0.1"]


def damage(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (lambda f: damage(f / "tiny.onnx"), "does not match its recorded hash"),
        (lambda f: damage(f / "small.onnx"), "does not match its recorded hash"),
        (lambda f: (f / "tiny.md").unlink(), "has no card"),
        (lambda f: (f / "tiny.md").write_text(" \n", encoding="utf-8"), "has no card"),
        (lambda f: write_registry(f, entry(licence=None)), "`licence` is missing"),
        (lambda f: write_registry(f), "names no model"),
        (lambda f: (f / "registry.toml").unlink(), "holds no registry.toml"),
    ],
)
def test_what_does_not_hold_is_refused_and_nothing_is_written(source: Path, user: Path, harm, words: str) -> None:  # noqa: ANN001
    harm(source)
    with pytest.raises(UserError, match=words):
        install(source, folder=user)
    assert not (user / "registry.toml").exists() and not list(user.glob("*.onnx"))


def test_an_onnx_file_alone_is_refused_with_what_to_do(tmp_path: Path, user: Path) -> None:
    write_network(tmp_path / "alone.onnx")
    with pytest.raises(UserError, match="an ONNX file alone does not say what it is"):
        install(tmp_path / "alone.onnx", folder=user)
    with pytest.raises(UserError, match="There is no"):
        install(tmp_path / "nowhere", folder=user)


def test_another_model_of_the_same_name_is_never_overwritten(source: Path, user: Path, tmp_path: Path) -> None:
    install(source, folder=user)
    before = (user / "tiny-0.1.onnx").read_bytes()
    other = tmp_path / "other"
    other.mkdir()
    (other / "tiny.md").write_text("# other\n", encoding="utf-8")
    write_registry(other, entry(sha256=write_network(other / "tiny.onnx", gain=9.0)))
    with pytest.raises(UserError, match='Another model is registered as "tiny 0.1"'):
        install(other, folder=user)
    assert (user / "tiny-0.1.onnx").read_bytes() == before


def test_the_users_own_folder_is_no_source(source: Path, user: Path) -> None:
    install(source, folder=user)
    with pytest.raises(UserError, match="installed already"):
        install(user, folder=user)


def test_a_damaged_registry_of_the_user_is_left_alone(source: Path, user: Path) -> None:
    user.mkdir()
    (user / "registry.toml").write_text("not toml [", encoding="utf-8")
    with pytest.raises(UserError, match="mend it or put it aside"):
        install(source, folder=user)
    assert (user / "registry.toml").read_text(encoding="utf-8") == "not toml ["


def test_a_kill_before_the_registry_leaves_it_as_it_was(
    source: Path, user: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("puncta.inference.installing._write_table", killed)
    with pytest.raises(KeyboardInterrupt):
        install(source, folder=user)
    assert Registry.load(user / "none", user).cards == ()
    monkeypatch.undo()
    assert install(source, folder=user)[0].new is True


def test_a_model_is_removed_with_its_files_but_not_one_in_use(source: Path, user: Path, tmp_path: Path) -> None:
    shipped = write_tiny_model(tmp_path / "shipped", id="first", default=True)
    install(source, folder=user)
    registry = Registry.load(shipped, user)
    with pytest.raises(UserError, match="only your own can be removed"):
        remove(registry.find("first"), registry, user)
    promote(registry, registry.find("tiny"), user)
    registry = Registry.load(shipped, user)
    with pytest.raises(UserError, match="in use by the plugin .* rollback spot"):
        remove(registry.find("tiny"), registry, user)
    promote(registry, registry.find("first"), user)
    registry = Registry.load(shipped, user)
    remove(registry.find("tiny"), registry, user)
    assert not list(user.glob("*.onnx")) and not (user / "tiny-0.1.md").exists()
    assert not (user / "runs" / "tiny-0.1").exists()
    assert [c.id for c in Registry.load(shipped, user).cards] == ["first"]


def test_two_models_with_pictures_of_one_name_keep_each_its_own(source: Path, user: Path, tmp_path: Path) -> None:
    other = write_tiny_model(tmp_path / "other", id="second")
    (other / "tiny.md").write_text("![failures](tiny-failures.png)\n", encoding="utf-8")
    (other / "tiny-failures.png").write_bytes(b"another picture")
    install(source, folder=user)
    install(other, folder=user)
    registry = Registry.load(user / "none", user)
    shown = {}
    for card in registry.cards:
        text = card.card_path.read_text(encoding="utf-8")
        shown[card.id] = (user / text.partition("](")[2].partition(")")[0]).read_bytes()
    assert shown == {"tiny": b"a picture", "second": b"another picture"}
    remove(registry.find("second"), registry.with_manifest_models({"spot": "tiny"}), user)
    assert [p.read_bytes() for p in user.glob("*.png")] == [b"a picture"], "its picture goes along, no other one"


def test_what_another_window_has_promoted_meanwhile_is_not_removed(source: Path, user: Path, tmp_path: Path) -> None:
    shipped = write_tiny_model(tmp_path / "shipped", id="first", default=True)
    install(source, folder=user)
    read_before = Registry.load(shipped, user)
    promote(Registry.load(shipped, user), read_before.find("tiny"), user)
    with pytest.raises(UserError, match="in use by the plugin .* rollback spot"):
        remove(read_before.find("tiny"), read_before, user)
    Registry.load(shipped, user).verify(read_before.find("tiny"))
    assert Registry.load(shipped, user).problems == ()


def test_a_model_that_another_window_has_replaced_is_not_removed(source: Path, user: Path, tmp_path: Path) -> None:
    shipped = write_tiny_model(tmp_path / "shipped", id="first", default=True)
    install(source, folder=user)
    read_before = Registry.load(shipped, user)
    write_registry(user, entry("tiny-0.1.onnx", write_network(user / "tiny-0.1.onnx", gain=9.0), card="tiny-0.1.md"))
    with pytest.raises(UserError, match="removed or replaced meanwhile"):
        remove(read_before.find("tiny"), read_before, user)
    assert [c.id for c in Registry.load(shipped, user).cards] == ["first", "tiny"]


def test_the_model_that_the_manifest_names_is_in_use_and_is_not_removed(source: Path, user: Path) -> None:
    table = tomllib.loads((source / "registry.toml").read_text(encoding="utf-8"))["models"][0]
    write_registry(source, table, {**table, "id": "other", "version": "0.2"})
    install(source, folder=user)
    registry = Registry.load(user / "none", user).with_manifest_models({"spot": "tiny"})
    assert registry.is_in_use(registry.find("tiny")) and not registry.is_in_use(registry.find("other"))
    with pytest.raises(UserError, match="in use by the plugin .* promote another one first"):
        remove(registry.find("tiny"), registry, user)
    remove(registry.find("other"), registry, user)
