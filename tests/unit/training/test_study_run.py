"""The whole of a study in small: trained, answered, told in a table, gone on with and made anew from kept answers."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="training needs PyTorch; install the train extra")

import json  # noqa: E402
from pathlib import Path  # noqa: E402

import numpy as np  # noqa: E402

from puncta.cli.main import main  # noqa: E402
from puncta.core.errors import UserError  # noqa: E402
from puncta.formats.validate import validate  # noqa: E402
from puncta.training import study_run  # noqa: E402
from puncta.training.data import Clip  # noqa: E402
from puncta.training.run import Splits  # noqa: E402
from puncta.training.study_files import Places, load_answers, load_truth  # noqa: E402
from puncta.training.study_run import run_study  # noqa: E402

RUN = """
version = 1
name = "{name}"
plugin = "needle-tip"
seed = 1
data = {{ source = "study" }}
model = {{ {model}, input = {{ size = 64 }} }}
training = {{ samples = 8, batch = 4, {length}learning_rate = 1e-3, threads = 1, augment = true }}
"""
STUDY = """
version = 1
name = "small"
title = "A small study"
runs = ["still.toml", "shipped.toml"]
untrained = ["history"]
resamples = 50
data = { clips = 4, tune_clips = 2 }
sets = [{ name = "easy", title = "easy" }, { name = "empty", title = "no needle" }]
[[claims]]
id = "x"
says = "the one beats the other"
set = "easy"
figure = "needle_ap50"
better = ["shipped"]
than = ["still"]
at_least = 0.0
"""


def a_clip(seed: int, needle: bool = True) -> Clip:
    rng = np.random.default_rng(seed)
    frames = rng.integers(20, 60, (6, 288, 288)).astype(np.uint8)
    tips, entries = np.full((6, 2), np.nan), np.full((6, 2), np.nan)
    for k in range(6 * needle):
        tips[k], entries[k] = (80 + 25 * k, 60 + 20 * k), (0, 40)
        frames[k, 60 + 20 * k - 3 : 60 + 20 * k + 3, 80 + 25 * k - 3 : 80 + 25 * k + 3] = 250
    return Clip(f"c{seed}", "test", "A", frames, tips, entries, np.full(6, int(needle), np.int8), np.zeros((6, 2)),
                (0.1, 0.1))


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A study whose clips are drawn here."""
    folder = tmp_path / "study"
    folder.mkdir()
    (folder / "study.toml").write_text(STUDY, encoding="utf-8")
    for name, model, length in (("still", 'net = "ultratiny", kind = "2d"', ""),
                                ("shipped", 'net = "tip_stream", widths = [8, 8, 8, 8, 8]', "length = 2, ")):
        (folder / f"{name}.toml").write_text(RUN.format(name=name, model=model, length=length), encoding="utf-8")
    clips = [a_clip(k) for k in range(4)]
    splits = Splits(((1.0, clips[:2]),), (clips[2:],))
    sets = {"easy": [a_clip(8), a_clip(9)], "empty": [a_clip(10, False), a_clip(11, False)]}
    monkeypatch.setattr(study_run, "gather_data", lambda *_args: splits)
    monkeypatch.setattr(study_run, "clips_of_set", lambda _study, name, *_rest: sets[name])
    return folder / "study.toml"


def places_in(folder: Path) -> Places:
    return Places(folder / "out", None, folder / "cache", folder / "sets")


def test_a_study_trains_answers_and_tells(study: Path, tmp_path: Path) -> None:
    places = places_in(tmp_path)
    stages: list[str] = []
    table = run_study(study, places, tell=lambda p: stages.append(p.stage))
    told = json.loads((places.out / "table.json").read_text(encoding="utf-8"))
    assert list(told["rows"]) == ["still", "shipped", "history"]
    assert told["missing"] == []
    assert told["sets"]["easy"] == {"title": "easy", "clips": 2, "frames": 12}
    easy = told["rows"]["still"]["sets"]["easy"]
    assert {"needle_ap50", "needle_f1", "tip_within_2mm", "miss_rate"} <= set(easy)
    assert told["rows"]["history"]["sets"]["easy"]["tip_within_2mm_always"]["value"] == 1.0  # the blob is new each time
    assert told["rows"]["history"]["sets"]["empty"]["false_alarm_rate"]["value"] == 1.0
    assert told["claims"][0]["word"] in {"strong", "holds", "fails"}
    text = table.read_text(encoding="utf-8")
    assert "## Easy (easy, 2 clips, 12 frames)" in text
    assert "| shipped |" in text
    assert validate(places.row("still")).problems == ()
    assert len(load_answers(places.answers("still", "easy")).score) == len(load_truth(places.truth("easy")).clip)
    assert {"still: samples", "rows of the table"} <= set(stages)


def test_what_is_finished_is_not_done_again(study: Path, tmp_path: Path) -> None:
    places = places_in(tmp_path)
    run_study(study, places, only=["still"])
    assert json.loads((places.out / "table.json").read_text(encoding="utf-8"))["missing"] == ["shipped", "history"]
    with pytest.raises(UserError, match="add --resume"):
        run_study(study, places)
    stages: list[str] = []
    kept = (places.row("still") / "weights.pt").read_bytes()
    run_study(study, places, resume=True, tell=lambda p: stages.append(p.stage))
    assert not any(stage.startswith("still") for stage in stages)
    assert (places.row("still") / "weights.pt").read_bytes() == kept
    assert json.loads((places.out / "table.json").read_text(encoding="utf-8"))["missing"] == []


def test_a_stopped_training_goes_on_to_the_same_weights(study: Path, tmp_path: Path) -> None:
    whole, parted = places_in(tmp_path / "a"), places_in(tmp_path / "b")
    run_study(study, whole, only=["still"])
    run_study(study, parted, only=["still"], stop_after=1)
    assert not (parted.row("still") / "weights.pt").exists()
    run_study(study, parted, only=["still"], resume=True)
    one, two = (torch.load(p.row("still") / "weights.pt", weights_only=True) for p in (whole, parted))
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_a_folder_of_another_study_is_refused(study: Path, tmp_path: Path) -> None:
    places = places_in(tmp_path)
    run_study(study, places, only=["history"])
    text = study.read_text(encoding="utf-8")
    study.write_text(text.replace("clips = 4", "clips = 5"), encoding="utf-8")
    with pytest.raises(UserError, match="begun with other data"):
        run_study(study, places, resume=True)


def test_the_table_alone_needs_no_data(study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    places = places_in(tmp_path)
    run_study(study, places, only=["history"])
    (places.out / "table.md").unlink()
    assert main(["train", str(study), "--out", str(places.out), "--table"]) == 0
    assert "The table is in" in capsys.readouterr().out
    assert (places.out / "table.md").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [(["--start-from", "x"], "--start-from has no meaning for a study"), (["--jobs", "0"], "--jobs 0"),
     (["--table"], "no folder"), (["--only", "nobody"], 'no row "nobody"')],
)
def test_wrong_use_ends_in_one_sentence(
    options: list[str], words: str, study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", str(study), "--out", str(tmp_path / "new"), *options]) == 2
    said = capsys.readouterr().err
    assert words in said
    assert "Traceback" not in said
