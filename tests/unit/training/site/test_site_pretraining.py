"""Pre-training on a site's needle-free recordings: needles drawn into them, kept knowledge, refusals; in seconds."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
import tomli_w

torch = pytest.importorskip("torch", reason="training needs PyTorch; install the train extra")

from made_site import tiny, write_site  # noqa: E402

from puncta.cli.main import main  # noqa: E402
from puncta.core.errors import UserError  # noqa: E402
from puncta.formats.dataset import load_dataset  # noqa: E402
from puncta.formats.experiment_files import read_table  # noqa: E402
from puncta.inference.registry import Registry  # noqa: E402
from puncta.session.retrain import data_of_recordings, make_dataset, plan_split, recordings_of_folder  # noqa: E402
from puncta.training.data import Clip, load_clips  # noqa: E402
from puncta.training.experiment import experiment_from, find_experiment  # noqa: E402
from puncta.training.register import register_training  # noqa: E402
from puncta.training.report_story import describe_data  # noqa: E402
from puncta.training.seen import is_seen  # noqa: E402
from puncta.training.site.drawn_needles import DrawnSpec, build_drawn, draw_on_run  # noqa: E402
from puncta.training.site.pretrain import needle_free_dataset, pretrain_tip  # noqa: E402
from puncta.training.site.run import adapt_tip  # noqa: E402

SIDE = 128


def write_recordings(folder: Path, persons: int = 4, frames: int = 24) -> Path:
    """Write a folder for each person with a cine of drifting speckle in it, and a still."""
    for person in range(persons):
        cine = folder / f"p{person}" / "cine"
        cine.mkdir(parents=True)
        rng = np.random.default_rng(person)
        wide = cv2.GaussianBlur(rng.integers(0, 200, (SIDE, SIDE + 40)).astype(np.uint8), (0, 0), 1.5)
        for k in range(frames):
            cv2.imwrite(str(cine / f"{k:03d}.png"), np.ascontiguousarray(wide[:, k : k + SIDE]))
        cv2.imwrite(str(folder / f"p{person}" / "still.png"), np.ascontiguousarray(wide[:, 40 : 40 + SIDE]))
    return folder


@pytest.fixture(scope="module")
def ward(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_recordings(tmp_path_factory.mktemp("sets") / "ward")


def table(name: str = "ward") -> dict:
    data = {"datasets": [name], "drawn": 6, "tune_drawn": 3, "frames": 6}
    return tiny(read_table(find_experiment("tip_site_pre")), data=data)


def experiment(name: str = "ward") -> object:
    return experiment_from(table(name))


def a_clip(mm: tuple[float, float] | None = (0.15, 0.15)) -> Clip:
    rng = np.random.default_rng(3)
    frames = cv2.GaussianBlur(rng.integers(20, 90, (288, 288)).astype(np.uint8), (0, 0), 1.2)[None].repeat(12, 0)
    nowhere = np.full((12, 2), np.nan)
    drift = np.stack([np.linspace(0, 8, 12), np.zeros(12)], axis=1)
    return Clip("c", "dataset", "F", frames, nowhere, nowhere, np.zeros(12, np.int8), drift, mm)


def test_a_needle_is_drawn_where_it_is_said_to_be_and_goes_with_the_tissue() -> None:
    clip = a_clip()
    seen = 0
    for seed in range(8):
        cine = draw_on_run(np.random.default_rng(seed), clip)
        assert cine.frames.shape == clip.frames.shape and cine.mm_per_px == clip.mm_per_px
        for i in np.flatnonzero(cine.judged == 1):
            tip = cine.tip_px[i]
            assert (tip > 0).all() and (tip < 288).all() and np.isfinite(cine.entry_px[i]).all()
            changed = np.abs(cine.frames[i].astype(int) - clip.frames[i]) > 25
            rows, columns = np.nonzero(changed)
            if len(rows) > 30:
                seen += 1
                along = (cine.entry_px[i] - tip) / np.linalg.norm(cine.entry_px[i] - tip)
                ahead = (columns - tip[0]) * along[0] + (rows - tip[1]) * along[1]
                assert np.quantile(ahead, 0.02) > -12  # nothing beyond the tip
        assert np.isnan(cine.tip_px[cine.judged != 1]).all()
    assert seen > 20
    assert draw_on_run(np.random.default_rng(1), a_clip(None)).mm_per_px is None


def test_a_needle_that_nobody_can_see_is_neither_asked_for_nor_forbidden() -> None:
    bright = dataclasses.replace(a_clip(), frames=np.full((12, 288, 288), 250, np.uint8))
    kinds = {int(k) for seed in range(8) for k in draw_on_run(np.random.default_rng(seed), bright).judged}
    assert -1 in kinds and 1 not in kinds
    bare, tip = np.full((60, 60), 50.0, np.float32), np.array([30.0, 30.0])
    assert not is_seen(bare, bare, tip)
    drawn = bare.copy()
    drawn[28:33, 10:31] += 20.0
    assert is_seen(bare, drawn, tip) and not is_seen(bare, drawn, np.array([55.0, 55.0]))
    rough = bare + np.random.default_rng(1).normal(0, 30, bare.shape).astype(np.float32)
    assert not is_seen(rough, rough + drawn - bare, tip)  # it is lost in the tissue


def test_clips_are_the_same_whoever_makes_them_and_stills_serve_too(ward: Path, tmp_path: Path) -> None:
    data = data_of_recordings(recordings_of_folder(ward)[0])
    made = make_dataset(None, data, plan_split(data), tmp_path / "made", look=lambda run: [False] * len(run))
    from puncta.training.dataset_reading import build_labelled_clips

    folder = build_labelled_clips(made.folder, "train", tmp_path, lambda *_: None)
    free = load_clips(folder)
    assert {len(c.frames) for c in free} == {1, 24} and all((c.judged == 0).all() for c in free)
    spec = DrawnSpec(folder.name, 6, 6, 3)
    whole = load_clips(build_drawn(spec, tmp_path, tmp_path, lambda *_: None))
    for part in ((0, 2), (1, 2)):
        build_drawn(spec, tmp_path, tmp_path / "twice", lambda *_: None, part)
    again = load_clips(build_drawn(spec, tmp_path, tmp_path / "twice", lambda *_: None))
    assert [c.name for c in whole] == [c.name for c in again] and len(whole) == 6
    for one, other in zip(whole, again, strict=True):
        assert (one.frames == other.frames).all() and (one.judged == other.judged).all() and one.source == "dataset"
    assert {len(c.frames) for c in whole} == {6, 24} and any((c.judged == 1).any() for c in whole)


def test_pre_trains_from_a_folder_registers_and_is_a_base_for_labels(base: Path, ward: Path, tmp_path: Path) -> None:
    told: list[str] = []
    out = tmp_path / "out"
    head = pretrain_tip(experiment(), out, data_root=ward.parent, cache=base.parent / "cache", start_from=base,
                        tell=lambda p: told.append(p.stage))
    assert json.loads(head.read_text())["state"] == "done"
    stages = {"recordings", "needle-free frames", "needles drawn into recordings", "simulated clips", "samples"}
    assert stages <= set(told)
    dataset = load_dataset(out / "needle-free" / "ward")
    sides = {s: {str(i.subject) for i in dataset.images if i.split == s} for s in ("train", "tune", "test")}
    assert all(sides.values()) and sum(map(len, sides.values())) == 4
    kept = json.loads((out / "calibration.json").read_text())
    assert kept["thresholds"].startswith("kept from the network before, for drawn needles are no measure")
    assert "needle-free frames of 4 recordings of 2 subjects (ward" in kept["learnt_from"]
    figures = (out / "table.md").read_text()
    assert "Split by subject: train 2 subjects" in figures and "a needle is drawn" in figures
    assert main(["doctor", str(out)]) == 0
    register_training(out, tmp_path / "models")
    registry = Registry.load(shipped=tmp_path / "models", user=tmp_path / "none")
    (card,) = registry.cards
    assert not registry.problems and not card.default and card.id == "needle-tip-pre"
    assert "every needle is simulated or drawn" in card.training_data
    labels = write_site(tmp_path / "sets" / "here", {"s1": "train", "s2": "train", "s3": "tune"})
    site = experiment_from(tiny(read_table(find_experiment("tip_site")), data={"datasets": ["here"]}))
    run = tmp_path / "models" / "runs" / "needle-tip-pre-0.1"
    after = adapt_tip(site, tmp_path / "fine", data_root=labels.parent, cache=base.parent / "cache", start_from=run)
    assert json.loads(after.read_text())["state"] == "done"
    assert [p.name for p in sorted((tmp_path / "fine" / "legs").iterdir())][-1].endswith("tip_site_pre")


def test_the_command_goes_on_with_what_was_made_of_the_recordings_and_says_their_split(
    base: Path, ward: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    cache, out = base.parent / "cache", tmp_path / "out"
    head = pretrain_tip(experiment(), out, data_root=ward.parent, cache=cache, start_from=base, stop_after=2)
    assert json.loads(head.read_text())["state"] == "cancelled"
    before = (out / "needle-free" / "ward" / "dataset.json").stat().st_mtime_ns
    file = tmp_path / "mine.toml"
    file.write_text(tomli_w.dumps(table()), encoding="utf-8")
    words = ["train", str(file), "--data", str(ward.parent), "--cache", str(cache), "--start-from", str(base)]
    assert main([*words, "--out", str(out), "--resume"]) == 0
    said = capfd.readouterr().err
    assert "Split by subject: train 2 subjects" in said and "a needle is drawn" in said
    assert json.loads(head.read_text())["state"] == "done"
    assert (out / "needle-free" / "ward" / "dataset.json").stat().st_mtime_ns == before
    # Other recordings by the same name are not what this folder was made of.
    another = tmp_path / "sets"
    write_recordings(another / "ward", 3, 30)
    with pytest.raises(UserError, match=r"other recordings than .*ward does now; name another folder with --out"):
        needle_free_dataset(another / "ward", out / "needle-free" / "ward", lambda _told: None)


def test_plain_sentences(base: Path, ward: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    where = {"cache": base.parent / "cache", "start_from": base}
    with pytest.raises(UserError, match="--data"):
        pretrain_tip(experiment(), tmp_path / "a", **where)
    with pytest.raises(UserError, match="--start-from"):
        pretrain_tip(experiment(), tmp_path / "b", data_root=ward.parent)
    with pytest.raises(UserError, match="There is no folder"):
        pretrain_tip(experiment("gone"), tmp_path / "c", data_root=ward.parent, **where)
    write_site(tmp_path / "sets" / "labels", {"s1": "train"})
    with pytest.raises(UserError, match="is a dataset of labels"):
        pretrain_tip(experiment("labels"), tmp_path / "d", data_root=tmp_path / "sets", **where)
    write_recordings(tmp_path / "sets" / "few", 3, 8)
    with pytest.raises(UserError, match=r"few have 9 needle-free frames to learn from; give 48"):
        pretrain_tip(experiment("few"), tmp_path / "e", data_root=tmp_path / "sets", **where)

    def see(_self: object, run: Sequence[object]) -> list[bool]:
        return [True] * len(run)

    monkeypatch.setattr("puncta.session.retrain_needle_free.ModelLook.__call__", see)
    with pytest.raises(UserError, match="Nothing is left of the recordings"):
        pretrain_tip(experiment(), tmp_path / "f", data_root=ward.parent, **where)
    assert not (tmp_path / "f" / "needle-free" / "ward").exists()


def test_it_says_in_words_what_it_learnt_from() -> None:
    words = "; ".join(describe_data(experiment().config))
    assert "6 clips with needles drawn into needle-free frames of ward" in words and "not forgotten" in words
