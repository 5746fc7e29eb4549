"""`puncta dataset build`, `digest` and `list` as a user meets them."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from puncta.cli.dataset import shipped_specs
from puncta.cli.main import main
from puncta.formats.progress import parse_progress

SPEC = """
name = "small"
description = "A small set for a test."
[[part]]
split = "test"
procedures = ["vessel"]
machines = ["A"]
seeds = [40, 43]
frames = 2
sizes_px = [[64, 64]]
"""


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("spec") / "small.toml"
    path.write_text(SPEC)
    return path


@pytest.fixture(scope="module")
def data(spec: Path) -> Path:
    assert main(["dataset", "build", str(spec), "--out", str(spec.parent / "data"), "--jobs", "1"]) == 0
    return spec.parent / "data"


def test_progress_lines_count_the_clips_of_this_run(spec: Path, data: Path, tmp_path: Path, capsys):
    folder = tmp_path / "begun"
    call = ["dataset", "build", str(spec), "--out", str(folder), "--jobs", "1", "--progress", "json"]
    capsys.readouterr()
    assert main(call) == 0
    lines = [parse_progress(line) for line in capsys.readouterr().out.splitlines()]
    assert (lines[0].done, lines[0].total, lines[0].unit) == (0, 3, "clip")
    digest = json.loads((folder / "build.json").read_text())["sha256"]
    assert str(lines[-1].state) == "done"
    assert lines[-1].message == f"built small, digest {digest}"
    assert digest == json.loads((data / "build.json").read_text())["sha256"]
    assert main(call) == 0
    (again,) = [parse_progress(line) for line in capsys.readouterr().out.splitlines()]
    assert (str(again.state), again.message) == ("done", f"built small, digest {digest}")


def test_a_failed_build_ends_its_progress_lines(spec: Path, tmp_path: Path, capsys):
    folder = tmp_path / "begun"
    folder.mkdir()
    (folder / ".build.json").write_text('{"spec_sha256": "x"}')
    assert main(["dataset", "build", str(spec), "--out", str(folder), "--progress", "json"]) == 2
    said = capsys.readouterr()
    assert "another spec" in said.err
    assert all(parse_progress(line) for line in said.out.splitlines())


def test_a_digest_is_printed_recorded_and_verified(data: Path, spec: Path, tmp_path: Path, capsys):
    kept = tmp_path / "digests.json"
    capsys.readouterr()
    assert main(["dataset", "digest", str(data), "--record", str(kept)]) == 0
    digest, name = capsys.readouterr().out.split()
    assert name == "small"
    assert json.loads(kept.read_text())["small"]["sha256"] == digest
    assert main(["dataset", "build", str(spec), "--out", str(data), "--verify", str(kept)]) == 0
    kept.write_text(kept.read_text().replace(digest, "0" * 64))
    capsys.readouterr()
    assert main(["dataset", "digest", str(data), "--verify", str(kept)]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_spec_may_state_its_own_digest(data: Path, tmp_path: Path, capsys):
    copy = tmp_path / "copy"
    shutil.copytree(data, copy)
    digest = json.loads((copy / "build.json").read_text())["sha256"]
    for stated, status in ((digest, 0), ("0" * 64, 2)):
        signed = tmp_path / f"{status}.toml"
        signed.write_text(f'sha256 = "{stated}"' + SPEC)
        assert main(["dataset", "build", str(signed), "--out", str(copy)]) == status


def test_what_is_no_dataset_is_refused_in_one_sentence(tmp_path: Path, data: Path, capsys):
    other = tmp_path / "other.json"
    other.write_text("[]")
    for call in (
        ["dataset", "digest", str(tmp_path)],
        ["dataset", "digest", str(data), "--verify", str(other)],
        ["dataset", "digest", str(data), "--verify", str(tmp_path / "nowhere.json")],
        ["dataset", "build", "tip-esy", "--out", str(tmp_path / "x")],
        ["dataset", "build", "real-background-negatives", "--out", str(tmp_path / "x")],
    ):
        capsys.readouterr()
        assert main(call) == 2
        assert capsys.readouterr().err.count("\n") == 1
    assert not (tmp_path / "x").exists()


def test_the_nearest_spec_is_named(tmp_path: Path, capsys):
    assert main(["dataset", "build", "tip-esy", "--out", str(tmp_path / "x")]) == 2
    assert "the nearest is tip-easy" in capsys.readouterr().err


def test_the_list_names_every_spec_that_ships(capsys):
    assert main(["dataset", "list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[0] for line in lines] == shipped_specs()
    assert sum("needs --stills" in line for line in lines) == 3


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["simulate", "breast", "--no-needel", "--out", "a.dcm"],
         "puncta simulate: There is no option --no-needel; the nearest is --no-needle."),
        (["simulate", "breast", "--xyzzy=3", "--out", "a.dcm"], "There is no option --xyzzy. See"),
        (["simulate", "breast", "more", "--out", "a.dcm"], "'more' is one word too many; a name"),
        (["simulate", "breast", "--seed", "1.5", "--out", "a.dcm"], "--seed wants a whole number, not '1.5'."),
        (["simulate", "breast", "--fps", "x", "--out", "a.dcm"], "--fps wants a number, not 'x'."),
        (["simulate", "breast", "--out"], "--out needs a value."),
        (["dataset", "build", "x", "--out", "d", "--job", "1.5"], "--jobs wants a whole number, not '1.5'."),
        (["dataset", "build", "x", "--out", "d", "--stils", "1"], "dataset build: There is no option --stils; the"),
        (["--verson"], "There is no option --verson; the nearest is --version."),
    ],
)
def test_wrong_options_are_answered_in_plain_words(words: list[str], said: str, capsys):
    with pytest.raises(SystemExit) as caught:
        main(words)
    assert caught.value.code == 2
    err = capsys.readouterr().err
    assert said in err and err.count("\n") == 1


def test_a_digest_of_nothing_says_that_nothing_is_there(tmp_path: Path, capsys):
    assert main(["dataset", "digest", str(tmp_path / "nope")]) == 2
    assert f"There is no folder {tmp_path / 'nope'}; check the name." in capsys.readouterr().err


def test_the_doctor_notices_what_was_changed_after_the_build(data: Path, tmp_path: Path, capsys):
    folder = shutil.copytree(data, tmp_path / "copy")
    assert main(["doctor", str(folder)]) == 0
    assert "nothing was changed since it was built" in capsys.readouterr().out
    with next((folder / "images").rglob("*.png")).open("ab") as picture:
        picture.write(b"x")
    assert main(["doctor", str(folder)]) == 2
    assert "its digest is not the one in build.json" in capsys.readouterr().out


def test_the_doctor_says_so_where_there_is_too_much_to_compare(data: Path, monkeypatch, capsys):
    monkeypatch.setattr("puncta.cli.doctor.MOST_HASHED_BYTES", 10)
    assert main(["doctor", str(data)]) == 0
    assert "puncta dataset digest does it" in capsys.readouterr().out


def test_a_damaged_picture_is_one_sentence_and_nothing_of_a_library(data: Path, tmp_path: Path):
    folder = shutil.copytree(data, tmp_path / "copy")
    picture = next((folder / "images").rglob("*.png"))
    picture.write_bytes(picture.read_bytes()[:-900])
    call = [sys.executable, "-m", "puncta", "doctor", str(folder)]
    done = subprocess.run(call, capture_output=True, text=True, check=False)
    assert done.returncode == 2 and done.stderr == ""
    assert done.stdout.count(picture.name) == 1


def test_the_doctor_knows_a_dataset_that_is_not_finished(spec: Path, tmp_path: Path, capsys):
    folder = tmp_path / "begun"
    (folder / "images").mkdir(parents=True)
    (folder / ".build.json").write_text("{}")
    assert main(["doctor", str(folder)]) == 2
    assert "its build is not finished; run the same 'puncta dataset build' again" in capsys.readouterr().out
