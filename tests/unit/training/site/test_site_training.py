"""Adapting the tip network to a site: labels teach, the rest keeps, thresholds hold; in seconds."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import psutil
import pytest

torch = pytest.importorskip("torch", reason="training needs PyTorch; install the train extra")

from made_site import tiny, write_site  # noqa: E402

from puncta.cli.main import main  # noqa: E402
from puncta.core.errors import UserError  # noqa: E402
from puncta.formats.dataset import load_dataset  # noqa: E402
from puncta.formats.experiment_files import read_table  # noqa: E402
from puncta.inference.registry import Registry  # noqa: E402
from puncta.training import stopping  # noqa: E402
from puncta.training.data import load_clips  # noqa: E402
from puncta.training.dataset_reading import build_labelled_clips, runs_of  # noqa: E402
from puncta.training.experiment import experiment_from, find_experiment  # noqa: E402
from puncta.training.nets.tip_stream import TipStream  # noqa: E402
from puncta.training.register import register_training  # noqa: E402
from puncta.training.site.distil import KeptStatistics, keep_weights, kept_loss, site_task, stack_site  # noqa: E402
from puncta.training.site.kept_familiar import graph_of, read_familiar  # noqa: E402
from puncta.training.site.mixing import Judged, Mixed, choose_share, said_of  # noqa: E402
from puncta.training.site.run import adapt_tip  # noqa: E402
from puncta.training.site.thresholds import alarms_of, chance_alarms, is_quiet, read_calibration  # noqa: E402

SUBJECTS = {"s1": "train", "s2": "train", "s3": "tune", "s4": "test"}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_site(tmp_path_factory.mktemp("sets") / "here", SUBJECTS)


def experiment(**changes: dict) -> object:
    table = tiny(read_table(find_experiment("tip_site")), data={"datasets": ["here"]}, **changes)
    return experiment_from(table)


def test_frames_without_a_label_are_history_and_no_negatives(site: Path, tmp_path: Path) -> None:
    clips = load_clips(build_labelled_clips(site, "train", tmp_path, lambda *_: None))
    assert len(clips) == 4 and all(len(c.frames) == 20 for c in clips)
    with_needle, without = clips[0], clips[1]
    assert with_needle.judged[::4].tolist() == [1] * 5 and without.judged[::4].tolist() == [0] * 5
    for clip in clips:
        rest = np.delete(clip.judged, np.arange(0, 20, 4))
        assert (rest == -1).all()
    sample = site_task(64, True, 3, 0.0, 1.0).draw(with_needle, np.random.default_rng(3))
    assert {t.present for t in sample.sample.targets} >= {-1.0}


def test_frames_far_apart_do_not_make_motion(site: Path) -> None:
    images = [i for i in load_dataset(site).images if i.video_id == 1]
    assert [len(r) for r in runs_of(images, 20.0)] == [20]
    told = [i for i in images if i.labelled]
    # Labels alone, four frames apart at 20 a second: each stands for itself.
    assert [len(r) for r in runs_of(told, 20.0)] == [1] * 5
    # Every fourth frame of a clip that was thinned, whose rate says so.
    assert [len(r) for r in runs_of(told, 5.0)] == [5]
    assert [len(r) for r in runs_of([*images[:6], *images[12:]], 20.0)] == [6, 8]
    # Nobody has said the rate: the usual distance decides.
    assert [len(r) for r in runs_of([*images[:6], *images[12:]])] == [6, 8]


def test_a_tip_whose_axis_nobody_drew_is_learnt(tmp_path: Path) -> None:
    folder = write_site(tmp_path / "points", {"s1": "train"}, axis=False)
    clip = load_clips(build_labelled_clips(folder, "train", tmp_path / "cache", lambda *_: None))[0]
    assert clip.judged[0] == 1 and np.isfinite(clip.tip_px[0]).all() and np.isnan(clip.entry_px[0]).all()
    task = site_task(64, False, 2, 0.0, 0.0)
    drawn = task.draw(dataclasses.replace(clip, judged=np.where(clip.judged == 1, 1, -1)), np.random.default_rng(0))
    target = drawn.sample.targets[-1]
    assert not target.axis and target.heat.max() == 1.0 and target.present == 1.0
    batch = task.stack([drawn])
    maps = torch.zeros(1, 2, 6, 16, 16, requires_grad=True)
    total, parts = task.loss((maps, torch.zeros(1, 2), None), batch.targets)
    total.backward()
    assert {"tip", "presence", "offset"} <= parts.keys() and not {"shaft", "direction"} & parts.keys()
    assert float(maps.grad[:, :, 3:6].abs().sum()) == 0.0 and float(maps.grad[:, :, :3].abs().sum()) > 0


def test_the_old_answer_counts_where_nobody_has_labelled() -> None:
    net, before = TipStream(5, (8, 8, 8, 8, 8)), TipStream(5, (8, 8, 8, 8, 8))
    before.load_state_dict(net.state_dict())
    both = KeptStatistics(net, before).train()
    assert not any(m.training for m in net.modules() if isinstance(m, torch.nn.BatchNorm2d)) and net.training
    answer = both(torch.randn(2, 2, 5, 64, 64))
    assert len(answer) == 5 and len(both.eval()(torch.randn(1, 1, 5, 64, 64))) == 3
    everywhere = torch.ones(4)
    assert float(kept_loss(answer, everywhere)) == pytest.approx(0.0, abs=1e-5)
    other = (answer[0] + 1.0, answer[1] - 2.0, *answer[2:])
    assert float(kept_loss(other, everywhere)) > 0.1
    assert set(both.state_dict()) == {f"net.{name}" for name in net.state_dict()}


def test_labelled_frames_are_free_and_unsure_words_are_not_kept(site: Path, tmp_path: Path) -> None:
    clips = load_clips(build_labelled_clips(site, "train", tmp_path, lambda *_: None))
    task = site_task(64, True, 4, 0.0, 1.0)
    simulated = dataclasses.replace(clips[0], source="simulator")
    batch = stack_site([task.draw(c, np.random.default_rng(5)) for c in (clips[0], simulated)])
    told = batch.targets.told.present
    assert (told[:4] >= 0).any() and (told[4:] == -1).all()
    weights = keep_weights(torch.tensor([4.0, -4.0, 0.5, 4.0, 0.0, 0.0, 0.0, 0.0]), batch.targets)
    assert (weights[4:] == 1.0).all()
    assert all(w == 0.0 for w, t in zip(weights[:4].tolist(), told[:4].tolist()) if t >= 0)
    assert float(weights[2]) == 0.0  # the old network was not sure


def test_the_best_share_is_chosen_with_known_machines_unharmed() -> None:
    none = Judged(0.0, 0.70, 0, 200, 0.90)
    dear = Judged(1.0, 0.69, 0, 200, 0.60)
    assert choose_share([none, dear, Judged(0.7, 0.698, 0, 200, 0.65)], 0.005).share == 0.7
    # As good to the hundredth: the larger one.
    assert choose_share([none, Judged(1.0, 0.70, 0, 200, 0.602), Judged(0.7, 0.71, 0, 200, 0.598)], 0.005).share == 1.0
    # Two alarms on 200 frames may be chance, a dozen are none; a higher loss at the site is no gain.
    assert choose_share([none, Judged(1.0, 0.70, 2, 200, 0.60)], 0.005).share == 1.0
    assert choose_share([none, Judged(1.0, 0.72, 12, 200, 0.60), Judged(0.4, 0.70, 0, 200, 0.95)], 0.005).share == 0.0
    silent = Judged(0.0, 0.70, 0, 200, None)
    some = [Judged(1.0, 0.699, 0, 200, None), Judged(0.4, 0.70, 0, 200, None)]
    assert choose_share([silent, *some], 0.005).share == 1.0


def test_one_false_alarm_on_few_frames_proves_nothing() -> None:
    assert chance_alarms(20) == 1 and chance_alarms(0) == 0
    assert 10 < chance_alarms(1500) < 20


def test_false_alarms_that_the_network_before_gave_too_raise_no_threshold() -> None:
    frames = 504
    shown = np.zeros(frames, bool)
    shown[:17] = True
    rows = SimpleNamespace(shown=shown, quiet=np.ones(frames, bool), kind=np.zeros(frames, np.int64))
    assert chance_alarms(frames) < 17 and alarms_of(rows) == (17, 0)
    assert not is_quiet(rows) and not is_quiet(rows, (16, 17)), "of each kind by itself"
    assert is_quiet(rows, (17, 0))


def test_what_the_share_costs_is_said_as_the_table_has_it() -> None:
    none = Judged(0.0, 0.70, 0, 200, 0.90)
    dearer = said_of(Mixed(0.7, (none, Judged(0.7, 0.698, 2, 200, 0.6))))
    assert "70 % was kept" in dearer and "70.0 % before and 69.8 % now" in dearer
    assert "a false alarm 0 before and 2 now, of 200. That is more" in dearer and "nothing" not in dearer
    assert "That is more" not in said_of(Mixed(0.7, (none, Judged(0.7, 0.71, 0, 200, 0.6))))
    assert "it is the network before" in said_of(Mixed(0.0, (none, Judged(1.0, 0.4, 90, 200, 0.6))))
    assert "was not looked at" in said_of(Mixed(1.0, ()))


def test_adapts_and_registers_without_becoming_the_default(base: Path, site: Path, tmp_path: Path) -> None:
    told: list[str] = []
    out = tmp_path / "out"
    known = json.loads((base / "training.json").read_text())["config"]["model"]["input"]["size"]
    # At another size than the network it begins with, whose thresholds it keeps: that one's size holds.
    head = adapt_tip(experiment().at_size(known + 32), out, data_root=site.parent, cache=base.parent / "cache",
                     start_from=base, tell=lambda p: told.append(p.stage))
    made = json.loads(head.read_text())
    assert made["state"] == "done" and made["config"]["model"]["input"]["size"] == known
    assert {"simulated clips", "samples", "clips tuned on"} <= set(told)
    kept = json.loads((out / "calibration.json").read_text())
    assert kept["thresholds"].startswith("kept from the network before") and kept["familiar_before"] is True
    scoring, _ = read_calibration(base)
    assert kept["calibration"]["show"] >= scoring.show - 1e-6
    assert kept["figures"]["site_frames"] == 20.0  # five of twenty frames of four clips
    assert 0.0 <= kept["figures"]["share_kept"] <= 1.0
    assert main(["doctor", str(out)]) == 0
    register_training(out, tmp_path / "models")
    registry = Registry.load(shipped=tmp_path / "models", user=tmp_path / "none")
    card = registry.cards[0]
    table = (out / "table.md").read_text()
    assert "next to nothing" not in table and "of what was learnt" in table.lower()
    assert not registry.problems and not card.default and card.id == "needle-tip-site"
    registry.verify(card)
    assert "here" in card.card_path.read_text() and "hresholds" in card.card_path.read_text()


def test_paused_by_a_file_it_goes_on_to_the_same_weights(
    base: Path, site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stopping, "LOOK_S", 0.0)
    where = {"data_root": site.parent, "cache": base.parent / "cache", "start_from": base}
    adapt_tip(experiment(), tmp_path / "whole", **where)
    asked = tmp_path / "pause"
    stopping.pause_when(asked, None)
    try:
        head = adapt_tip(
            experiment(), tmp_path / "cut", **where,
            tell=lambda p: asked.touch() if p.stage == "samples" and p.done >= 24 else None,
        )
    finally:
        stopping.pause_when(None, None)
    stopped = json.loads(head.read_text())
    assert stopped["state"] == "cancelled" and 24 <= stopped["samples"] <= 40
    assert not (tmp_path / "cut" / "weights.pt").exists()
    head = adapt_tip(experiment(), tmp_path / "cut", **where, resume=True)
    assert json.loads(head.read_text())["state"] == "done"
    assert (tmp_path / "cut" / "weights.pt").read_bytes() == (tmp_path / "whole" / "weights.pt").read_bytes()


def test_what_was_familiar_is_read_from_the_graph(base: Path) -> None:
    graph = graph_of(base)
    assert graph is not None
    mean, whiten = read_familiar(graph)
    assert mean.shape == (16,) and whiten.shape == (16, 16)
    # Whitening from a Cholesky factor is lower triangular; its transpose would not be.
    assert np.allclose(np.triu(whiten, 1), 0.0) and not np.allclose(np.tril(whiten, -1), 0.0)


def test_plain_sentences(base: Path, site: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--start-from"):
        adapt_tip(experiment(), tmp_path / "a", data_root=site.parent)
    with pytest.raises(UserError, match="--data"):
        adapt_tip(experiment(), tmp_path / "b", start_from=base)
    few = write_site(tmp_path / "few" / "here", {"s1": "train"}, clips=1, frames=8)
    with pytest.raises(UserError, match="has 2 frames"):
        adapt_tip(experiment(), tmp_path / "c", data_root=few.parent, start_from=base)


FULL = """
import resource, signal, sys
from pathlib import Path
import torch
from puncta.core.errors import UserError
from puncta.training.loop import save_whole
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
path = Path(sys.argv[1])
save_whole({"step": 1}, path)
kept = path.read_bytes()
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
try:
    save_whole({"step": 2, "net": torch.zeros(100_000)}, path)
except UserError as error:
    print(error)
assert path.read_bytes() == kept and [p.name for p in path.parent.iterdir()] == [path.name]
"""


def test_a_checkpoint_that_finds_no_room_leaves_the_one_before(tmp_path: Path) -> None:
    pytest.importorskip("resource", reason="this system has no limit for the size of files")
    script = tmp_path / "full.py"
    script.write_text(FULL, encoding="utf-8")
    (tmp_path / "out").mkdir()
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path / "out" / "checkpoint.pt")], capture_output=True, text=True,
        check=False, env={**os.environ, "PYTHONPATH": str(Path(stopping.__file__).parents[2])},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Cannot write") and "too large" in done.stdout


def test_without_room_the_command_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_args: object, **_more: object) -> Path:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("puncta.training.run.train_experiment", full)
    assert main(["train", "tip_cpu", "--out", str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err
    assert "The disk is full" in said and "--resume" in said and "Traceback" not in said


def test_what_a_pause_looks_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stopping, "LOOK_S", 0.0)
    file = tmp_path / "pause"
    asked = stopping.Stopping(file)
    assert not asked.asked()
    file.touch()
    assert asked.asked()
    file.unlink()
    assert asked.asked()  # who has asked once has asked
    sleeper = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
    parent = stopping.Stopping(None, sleeper.pid)
    assert not parent.asked()
    sleeper.kill()
    sleeper.wait()
    sleeper.stdin.close()
    assert parent.asked()
    assert not stopping.Stopping().asked()


def test_a_clock_that_is_set_anew_pauses_no_training(monkeypatch: pytest.MonkeyPatch) -> None:
    parent = stopping.Stopping(None, os.getpid())
    monkeypatch.setattr(psutil.Process, "create_time", lambda self: time.time() + 3600.0)
    parent._looked_s = -stopping.LOOK_S
    assert not parent.asked()
