"""Jobs that train: a real process that tells, pauses, fails, is killed, and goes on."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
import tomli_w

from puncta.core.errors import UserError
from puncta.formats.dataset import (
    TIP_CATEGORY,
    Category,
    Dataset,
    Image,
    Info,
    Review,
    Video,
    load_dataset,
    save_dataset,
)
from puncta.session import retrain, retrain_plans, retrain_records, retrain_run
from puncta.session.retrain import JobStatus, RetrainJobs, RetrainPlan, estimate
from puncta.session.retrain_pace import PaceTable, samples_within
from puncta.session.retrain_recipes import RECIPES, find_recipe
from puncta.session.retrain_records import read_record

BASE = "needle-tip-ut 0.4"

# Stands for `puncta train`: the same arguments, lines, files and exit status, and nothing learnt.
STAND_IN = '''
import json, sys, time
from pathlib import Path
import psutil
given = dict(zip(sys.argv[2::2], sys.argv[3::2]))
out, pause, parent = Path(given["--out"]), Path(given["--pause-file"]), int(given["--parent"])
out.mkdir(exist_ok=True)
kept = out / "checkpoint"
at = int(kept.read_text()) if kept.exists() else 0
how = json.loads((out.parent / "how.json").read_text()) if (out.parent / "how.json").exists() else {}
def say(unit, done, total, state="running", message=""):
    print(json.dumps({"task": "train", "state": state, "done": done, "total": total, "unit": unit, "elapsed_s": 1.0,
                      "left_s": 2.0, "message": message, "metrics": {"loss": 1.5}}), flush=True)
for k in range(3):
    say("simulated clips", k + 1, 3); time.sleep(0.05)
while at < how.get("steps", 6):
    at += 1
    say("samples", at, how.get("steps", 6))
    time.sleep(0.1)
    if how.get("crash"):
        sys.exit(1)
    if how.get("fail") == at:
        kept.write_text(str(at)); print("puncta: The disk is full, so make room.", file=sys.stderr); sys.exit(2)
    if at % 2 == 0:
        kept.write_text(str(at))
    if pause.exists() or not psutil.pid_exists(parent):
        kept.write_text(str(at)); say("samples", at, 6, "cancelled"); sys.exit(3)
say("clips tuned on", 1, 1)
say("samples", at, at, "done")
'''


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A dataset of 70 labelled frames of three subjects; its pictures are never looked at."""
    videos, images = [], []
    for n, split in enumerate(("train", "tune", "test"), 1):
        videos.append(Video(n, f"v{n}", 20.0, None, "F", f"s{n}", split))
        for i in range(70 if split == "train" else 5):
            images.append(Image(
                len(images) + 1, f"images/{n}/{i}.png", 64, 64, n, i, i, None, None, "F", f"s{n}", split,
                Review.CONFIRMED, (TIP_CATEGORY,),
            ))
    info = Info("needle-tip", "CC0-1.0", True)
    save_dataset(Dataset(info, tuple(videos), tuple(images), (Category(1, TIP_CATEGORY),)), tmp_path / "sets" / "here")
    return tmp_path / "sets" / "here"


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "stand_in.py"
    script.write_text(STAND_IN, encoding="utf-8")
    real = retrain_plans.command_of

    def command(*args: object) -> list[str]:
        words = real(*args)
        plain = [w for w in words[4:] if w != "--resume"]
        return [sys.executable, str(script), *plain]

    monkeypatch.setattr(retrain, "command_of", command)
    monkeypatch.setattr(retrain_plans.importlib.util, "find_spec", lambda _name: object())


@pytest.fixture
def jobs(tmp_path: Path) -> Iterator[RetrainJobs]:
    made = make_jobs(tmp_path)
    yield made
    made.close()


def make_jobs(folder: Path) -> RetrainJobs:
    return RetrainJobs(folder / "trainings", models=folder / "models", cache=folder / "clips")


def wait_for(fits: Callable[[], bool], seconds: float = 60.0) -> None:
    until = time.monotonic() + seconds
    while not fits():
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.02)


def state_of(jobs: RetrainJobs, job: str) -> str:
    return jobs.status(job).state


def how(jobs: RetrainJobs, job: str, **values: int) -> None:
    (jobs.folder / job / "how.json").write_text(json.dumps(values))


@pytest.mark.usefixtures("stand_in")
def test_one_runs_and_others_wait(jobs: RetrainJobs, site: Path) -> None:
    told: list[JobStatus] = []
    end = jobs.subscribe(told.append)
    first = jobs.start(RetrainPlan("one", "tip_site", site, BASE))
    second = jobs.start(RetrainPlan("two", "tip_site", site, BASE))
    assert state_of(jobs, second) == "waiting"
    wait_for(lambda: any(s.id == second and s.state == "done" for s in told))  # told a moment after it stands there
    end()
    states = {job: [s.state for s in told if s.id == job] for job in (first, second)}
    for job in (first, second):
        assert list(dict.fromkeys(states[job])) == ["waiting", "making data", "running", "done"]
    begun = next(n for n, s in enumerate(told) if s.id == second and s.state == "making data")
    assert any(s.id == first and s.state == "done" for s in told[:begun])
    running = next(s for s in told if s.state == "running")
    assert running.unit == "samples" and running.total == 6 and running.metrics == {"loss": 1.5}
    assert running.left_s is not None and running.left_s > 2.0  # setting thresholds comes after
    assert {jobs.status(j).model for j in (first, second)} == {"needle-tip-site 1", "needle-tip-site 2"}
    assert [s.id for s in jobs.jobs()][0] in (first, second) and "promoted" in jobs.status(first).message
    assert jobs.pace.read("tip_site")["work"] > 0


@pytest.mark.usefixtures("stand_in")
def test_paused_and_resumed_it_goes_on_where_it_was(jobs: RetrainJobs, site: Path) -> None:
    job = jobs.start(RetrainPlan("one", "tip_site", site, BASE))
    how(jobs, job, steps=400)
    wait_for(lambda: jobs.status(job).unit == "samples" and jobs.status(job).done >= 3)
    jobs.pause(job)
    wait_for(lambda: state_of(jobs, job) == "paused")
    at = int((jobs.folder / job / "training" / "checkpoint").read_text())
    assert at >= 3 and jobs.status(job).elapsed_s > 0
    spent = jobs.status(job).elapsed_s
    how(jobs, job, steps=at + 2)
    jobs.resume(job)
    wait_for(lambda: state_of(jobs, job) == "done")
    assert jobs.status(job).elapsed_s > spent
    with pytest.raises(UserError, match="is done"):
        jobs.resume(job)


@pytest.mark.usefixtures("stand_in")
def test_a_killed_process_is_interrupted_and_goes_on(jobs: RetrainJobs, site: Path) -> None:
    job = jobs.start(RetrainPlan("one", "tip_site", site, BASE))
    how(jobs, job, steps=400)
    wait_for(lambda: jobs.status(job).unit == "samples" and jobs.status(job).done >= 4)
    record = read_record(jobs.folder / job)
    assert record is not None and record.pid
    psutil.Process(record.pid).kill()
    wait_for(lambda: state_of(jobs, job) == "interrupted")
    at = int((jobs.folder / job / "training" / "checkpoint").read_text())
    assert at >= 2
    how(jobs, job, steps=at + 1)
    jobs.resume(job)
    wait_for(lambda: state_of(jobs, job) == "done")


@pytest.mark.usefixtures("stand_in")
def test_what_the_process_complains_of_is_the_message(jobs: RetrainJobs, site: Path) -> None:
    job = jobs.start(RetrainPlan("one", "tip_site", site, BASE))
    how(jobs, job, steps=6, fail=2)
    wait_for(lambda: state_of(jobs, job) == "failed")
    assert jobs.status(job).message == "The disk is full, so make room."
    how(jobs, job, steps=4)
    jobs.resume(job)
    wait_for(lambda: state_of(jobs, job) == "done")


@pytest.mark.usefixtures("stand_in")
def test_a_full_disk_is_said_even_where_the_process_could_not(
    jobs: RetrainJobs, site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retrain_run, "LEAST_FREE", 1 << 60)
    job = jobs.start(RetrainPlan("one", "tip_site", site, BASE))
    how(jobs, job, crash=1)
    wait_for(lambda: state_of(jobs, job) == "failed")
    assert jobs.status(job).message.startswith("The disk is full") and "resume" in jobs.status(job).message
    monkeypatch.setattr(retrain_run, "LEAST_FREE", 0)
    jobs.resume(job)
    wait_for(lambda: state_of(jobs, job) == "failed")
    assert "ended with status 1" in jobs.status(job).message


@pytest.mark.usefixtures("stand_in")
def test_cancelled_and_removed(jobs: RetrainJobs, site: Path) -> None:
    job = jobs.start(RetrainPlan("one", "tip_site", site, BASE))
    how(jobs, job, steps=400)
    waiting = jobs.start(RetrainPlan("two", "tip_site", site, BASE))
    wait_for(lambda: state_of(jobs, job) == "running")
    with pytest.raises(UserError, match="is running"):
        jobs.remove(job)
    jobs.cancel(waiting)
    assert state_of(jobs, waiting) == "cancelled"
    jobs.cancel(job)
    wait_for(lambda: state_of(jobs, job) == "cancelled")
    jobs.remove(job)
    assert not (jobs.folder / job).exists()
    with pytest.raises(UserError, match="There is no training"):
        jobs.status(job)


@pytest.mark.usefixtures("stand_in")
def test_removed_the_moment_it_has_ended_the_next_one_still_begins(jobs: RetrainJobs, site: Path) -> None:
    first = jobs.start(RetrainPlan("one", "tip_site", site, BASE))
    second = jobs.start(RetrainPlan("two", "tip_site", site, BASE))
    tell, removed = jobs._tell, []

    def remove_first(job: str) -> None:
        if job == first and not removed and state_of(jobs, first) == "done":
            removed.append(job)
            jobs.remove(first)
        tell(job)

    jobs._tell = remove_first  # type: ignore[method-assign]
    wait_for(lambda: state_of(jobs, second) == "done")
    assert removed == [first] and [s.id for s in jobs.jobs()] == [second]


@pytest.mark.usefixtures("stand_in")
def test_closing_pauses_and_another_start_of_the_program_goes_on(tmp_path: Path, site: Path) -> None:
    first = make_jobs(tmp_path)
    job = first.start(RetrainPlan("one", "tip_site", site, BASE))
    how(first, job, steps=400)
    waiting = first.start(RetrainPlan("two", "tip_site", site, BASE))
    wait_for(lambda: state_of(first, job) == "running" and first.status(job).done >= 2)
    first.close()
    assert (state_of(first, job), state_of(first, waiting)) == ("paused", "paused")
    again = make_jobs(tmp_path)
    try:
        assert {s.id: s.state for s in again.jobs()} == {job: "paused", waiting: "paused"}
        how(again, job, steps=int((again.folder / job / "training" / "checkpoint").read_text()) + 1)
        again.resume(job)
        wait_for(lambda: state_of(again, job) == "done")
    finally:
        again.close()


@pytest.mark.usefixtures("stand_in")
def test_what_another_window_trains_is_not_removed_under_it(jobs: RetrainJobs, tmp_path: Path, site: Path) -> None:
    first = jobs.start(RetrainPlan("one", "tip_site", site, BASE))
    how(jobs, first, steps=400)
    second = jobs.start(RetrainPlan("two", "tip_site", site, BASE))
    how(jobs, second, steps=400)
    other = make_jobs(tmp_path)  # read while the second still waits
    try:
        jobs.cancel(first)
        wait_for(lambda: state_of(jobs, second) == "running")
        with pytest.raises(UserError, match="is running"):
            other.remove(second)
    finally:
        other.close()
    assert (jobs.folder / second / "job.json").is_file()


@pytest.mark.usefixtures("stand_in")
def test_what_waits_in_another_window_is_left_to_it(jobs: RetrainJobs, tmp_path: Path, site: Path) -> None:
    first = jobs.start(RetrainPlan("one", "tip_site", site, BASE))
    how(jobs, first, steps=400)
    second = jobs.start(RetrainPlan("two", "tip_site", site, BASE))
    how(jobs, second, steps=400)
    other = make_jobs(tmp_path)
    try:
        assert state_of(other, second) == "waiting"
        for verb, words in ((other.resume, "is waiting already"), (other.remove, "waits in another window"),
                            (other.pause, "waits in another window"), (other.cancel, "waits in another window")):
            with pytest.raises(UserError, match=words):
                verb(second)
        jobs.cancel(first)
        wait_for(lambda: state_of(jobs, second) == "running")
        wait_for(lambda: state_of(other, second) == "running")
        with pytest.raises(UserError, match="is running already"):
            other.resume(second)
    finally:
        other.close()
    record = read_record(jobs.folder / second)
    assert record is not None and retrain_records.is_alive(record)
    retrain_records.write_record(jobs.folder / first, replace(record, id=first, state="waiting", pid=0, owner_born=1.0))
    gone = make_jobs(tmp_path)  # its program has gone: the number of its process belongs to another one now
    assert state_of(gone, first) == "interrupted"
    gone.close()


@pytest.mark.usefixtures("stand_in")
def test_what_another_window_begins_and_removes_is_seen(jobs: RetrainJobs, tmp_path: Path, site: Path) -> None:
    other = make_jobs(tmp_path)
    try:
        assert jobs.jobs() == ()
        job = other.start(RetrainPlan("theirs", "tip_site", site, BASE))
        assert [status.id for status in jobs.jobs()] == [job]
        wait_for(lambda: state_of(other, job) == "done")
        wait_for(lambda: state_of(jobs, job) == "done")
        other.remove(job)
        assert jobs.jobs() == ()
    finally:
        other.close()


def test_what_another_program_has_gone_on_with_is_read_again(jobs: RetrainJobs) -> None:
    """A record that this program has not written itself is that of the file, whatever it was before."""
    folder = jobs.folder / "a"
    folder.mkdir(parents=True)
    record = retrain_records.JobRecord("a", "a", "tip_site", "needle-tip", BASE, "", "m 1", "", state="paused", owner=1)
    retrain_records.write_record(folder, record)
    assert [status.state for status in jobs.jobs()] == ["paused"]
    retrain_records.write_record(folder, replace(record, state="done", message="m 1 is registered"))
    assert [status.state for status in jobs.jobs()] == ["done"]


def test_the_model_that_a_training_has_become_is_named_where_its_version_was_taken(jobs: RetrainJobs) -> None:
    """Registering gives it the next free version; the message and the record name that one."""
    folder = jobs.folder / "a" / "training"
    folder.mkdir(parents=True)
    (folder / "model.onnx").write_bytes(b"made here")
    record = retrain_records.JobRecord("a", "a", "tip_site", "needle-tip", BASE, "", "needle-tip-site 3", "")
    retrain_records.write_record(jobs.folder / "a", record)
    jobs.jobs()
    entry = {
        "id": "needle-tip-site", "version": "4", "plugin": "needle-tip", "file": "a.onnx",
        "sha256": hashlib.sha256(b"made here").hexdigest(), "precision": "fp32", "default": False,
        "licence": "Apache-2.0", "training_data": "x", "simulated": True, "card": "a.md", "recipe": "x",
        "outputs": ["o"], "metrics": {},
        "input": {"channels": 1, "size": [64, 64], "layout": "NCHW", "normalisation": "x", "history": 1},
    }
    jobs.models.mkdir(parents=True)
    (jobs.models / "registry.toml").write_text(tomli_w.dumps({"version": 1, "models": [entry]}), encoding="utf-8")
    assert jobs._registered("a") == "needle-tip-site 4"
    (folder / "model.onnx").write_bytes(b"another")
    assert jobs._registered("a") == "needle-tip-site 3"



def test_a_leg_that_finds_it_running_elsewhere_leaves_the_record_alone(tmp_path: Path) -> None:
    me = psutil.Process()
    record = retrain_records.JobRecord("a", "a", "tip_site", "needle-tip", BASE, "", "m 1", "")
    retrain_records.write_record(tmp_path, replace(record, state="running", pid=me.pid, born=me.create_time()))
    told: list[dict] = []
    parts = {"clips": 1.0, "samples": 1.0, "finish": 1.0}
    retrain_run.JobRun(
        tmp_path, record, [sys.executable, "-c", ""], parts, tmp_path / "clips", PaceTable(tmp_path),
        lambda **changes: told.append(changes), lambda: None,
    ).run()
    assert [(t["state"], t["keep"]) for t in told] == [("interrupted", False)]


@pytest.mark.usefixtures("stand_in")
def test_a_close_just_after_a_training_left_the_line_does_not_begin_it(
    jobs: RetrainJobs, site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "_wait_in_line", lambda _job: None)
    job = jobs.start(RetrainPlan("one", "tip_site", site, BASE))
    jobs._closing = True
    jobs._run(job)
    assert state_of(jobs, job) == "paused" and not (jobs.folder / job / "progress.jsonl").exists()


def test_a_pause_asked_while_the_process_is_begun_is_heard(tmp_path: Path) -> None:
    waits = "import sys, time, pathlib\nfor _ in range(600):\n    time.sleep(0.05)\n" \
        "    pathlib.Path(sys.argv[1]).exists() and sys.exit(3)"
    (tmp_path / "pause").touch()
    record = retrain_records.JobRecord("a", "a", "tip_site", "needle-tip", BASE, "", "m 1", "")
    told: list[dict] = []
    parts = {"clips": 1.0, "samples": 1.0, "finish": 1.0}
    retrain_run.JobRun(
        tmp_path, record, [sys.executable, "-c", waits, str(tmp_path / "pause")], parts, tmp_path / "clips",
        PaceTable(tmp_path), lambda **changes: told.append(changes), lambda: "paused",
    ).run()
    assert told[-1]["state"] == "paused", told[-1]


WINDOW = """
import sys, time
from pathlib import Path
from puncta.session import retrain, retrain_plans, retrain_records, retrain_run
from puncta.session.retrain import RetrainJobs, RetrainPlan
folder, script = Path(sys.argv[1]), sys.argv[2]
real = retrain_plans.command_of
retrain.command_of = lambda *a: [sys.executable, script, *(w for w in real(*a)[4:] if w != "--resume")]
retrain_plans.importlib.util.find_spec = lambda _name: object()
jobs = RetrainJobs(folder / "trainings", models=folder / "models", cache=folder / "clips")
job = jobs.start(RetrainPlan("one", "tip_site", folder / "sets" / "here", "needle-tip-ut 0.4"))
(jobs.folder / job / "how.json").write_text('{"steps": 4000}')
print(job, flush=True)
time.sleep(600)
"""


@pytest.mark.usefixtures("stand_in")
def test_the_window_killed_the_training_stops_with_a_checkpoint_and_goes_on(tmp_path: Path, site: Path) -> None:
    script = tmp_path / "window.py"
    script.write_text(WINDOW, encoding="utf-8")
    window = subprocess.Popen(
        [sys.executable, str(script), str(tmp_path), str(tmp_path / "stand_in.py")], stdout=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": str(Path(retrain.__file__).resolve().parents[2])},
    )
    try:
        assert window.stdout is not None
        job = window.stdout.readline().strip()
        folder = tmp_path / "trainings" / job
        wait_for(lambda: (folder / "training" / "checkpoint").exists(), 120)
        record = read_record(folder)
        assert record is not None
    finally:
        window.kill()
        window.wait()
        window.stdout.close()
    wait_for(lambda: not psutil.pid_exists(record.pid) or psutil.Process(record.pid).status() == "zombie")
    at = int((folder / "training" / "checkpoint").read_text())
    jobs = make_jobs(tmp_path)
    try:
        status = jobs.status(job)
        assert status.state == "interrupted" and "resume" in status.message
        how(jobs, job, steps=at + 1)
        jobs.resume(job)
        wait_for(lambda: state_of(jobs, job) == "done")
    finally:
        jobs.close()


@pytest.mark.usefixtures("stand_in")
def test_what_cannot_be_carried_out_is_refused_and_leaves_nothing(jobs: RetrainJobs, site: Path) -> None:
    plan = RetrainPlan("one", "tip_site", site, BASE)

    def refused(words: str, **changes: object) -> None:
        values = {name: getattr(plan, name) for name in plan.__dataclass_fields__}
        with pytest.raises(UserError, match=words):
            jobs.start(RetrainPlan(**{**values, **changes}))

    refused("no recipe", recipe="tip")
    refused("Give the training a name", name=" ")
    refused("is not a dataset", data=site.parent)
    refused("There is no model", base="needle-tip-ut 9.9")
    refused("belongs to the plugin breast-biopsy", base="needle-track 0.2")
    refused("0 labelled frames", recipe="lp_site")
    refused("too few", minutes=0.5)
    assert jobs.jobs() == () and not list(jobs.folder.glob("*/job.json"))


@pytest.mark.usefixtures("stand_in")
def test_a_dataset_that_says_it_is_split_by_case_can_train_and_a_torn_one_cannot(
    jobs: RetrainJobs, site: Path
) -> None:
    dataset = load_dataset(site)
    torn = replace(dataset, images=tuple(replace(image, subject="a") for image in dataset.images))
    save_dataset(torn, site)
    with pytest.raises(UserError, match="subject a is in the splits"):
        jobs.start(RetrainPlan("one", "tip_site", site, BASE))
    save_dataset(replace(torn, info=replace(torn.info, more={"split_by": "case"})), site)
    job = jobs.start(RetrainPlan("one", "tip_site", site, BASE))
    wait_for(lambda: state_of(jobs, job) == "done")


def test_without_torch_it_says_so(jobs: RetrainJobs, site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retrain_plans.importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(UserError, match="needs PyTorch"):
        jobs.start(RetrainPlan("one", "tip_site", site, BASE))


def test_time_is_guessed_first_and_then_measured(tmp_path: Path, site: Path) -> None:
    plan = RetrainPlan("one", "tip_site", site, BASE)
    guess = estimate(plan, tmp_path, tmp_path)
    assert not guess.measured_here and guess.minutes_low < guess.minutes_high and "guess" in guess.in_words()
    pace, recipe = PaceTable(tmp_path), find_recipe("tip_site")
    pace.note("tip_site", {"clips": 60.0, "work": 0.01, "finish": 60.0})
    known = estimate(plan, tmp_path, tmp_path)
    assert known.measured_here and known.minutes_high / known.minutes_low < 2
    fewer = RetrainPlan("one", "tip_site", site, BASE, changes={"training": {"samples": 4800}})
    half = estimate(fewer, tmp_path, tmp_path)
    assert half.minutes_high < known.minutes_high
    assert samples_within(recipe, pace, 4.0, False) < samples_within(recipe, pace, 5.0, False)
    assert samples_within(recipe, pace, 600.0, True) == 33_600
    short = RetrainPlan("one", "tip_site", site, BASE, minutes=4.0)
    assert estimate(short, tmp_path, tmp_path).minutes_high < known.minutes_high
    table = retrain_plans.experiment_of(short, recipe, "1", samples_within(recipe, pace, 4.0, False))
    assert 0 < table["training"]["stages"][0]["samples"] < table["training"]["samples"] / 2


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda r: r.id)
def test_every_recipe_has_an_experiment_that_holds(recipe, tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="training needs PyTorch; install the train extra")
    from puncta.session.retrain_plans import experiment_of, write_experiment
    from puncta.training.experiment import experiment_from

    plan = RetrainPlan("mine", recipe.id, tmp_path / "here")
    experiment = experiment_from(write_experiment(tmp_path, experiment_of(plan, recipe, "3", None)))
    assert experiment.plugin == recipe.plugin and experiment.section("data")["datasets"] == ["here"]
    assert (experiment.section("model")["id"], experiment.section("model")["version"]) == (recipe.model, "3")


def test_the_real_training_pauses_is_killed_and_ends_registered(tmp_path: Path) -> None:
    """`puncta train` itself, with a network of nothing, through every state."""
    pytest.importorskip("torch", reason="training needs PyTorch; install the train extra")
    sys.path.insert(0, str(Path(__file__).parents[2] / "training" / "site"))
    try:
        from made_site import TINY, write_site
    finally:
        sys.path.pop(0)
    site = write_site(tmp_path / "sets" / "here", {"s1": "train", "s2": "train", "s3": "tune"}, clips=4, frames=32)
    changes = {
        "data": TINY["data"], "model": {"input": {"size": 64}},
        "training": {**TINY["training"], "samples": 240, "checkpoint_every": 2},
    }
    jobs = make_jobs(tmp_path)
    try:
        job = jobs.start(RetrainPlan("real", "tip_site", site, BASE, changes=changes))
        wait_for(lambda: jobs.status(job).unit == "samples" and jobs.status(job).done >= 24, 500)
        jobs.pause(job)
        wait_for(lambda: state_of(jobs, job) == "paused", 200)
        first = jobs.curves(job)["loss"][0][-1]
        assert 24 <= first < 200 and jobs.result(job) is None
        jobs.resume(job)
        wait_for(lambda: jobs.status(job).unit == "samples" and jobs.status(job).done >= first + 32, 300)
        record = read_record(jobs.folder / job)
        assert record is not None
        psutil.Process(record.pid).kill()
        wait_for(lambda: state_of(jobs, job) == "interrupted")
        # At most one checkpoint interval of two steps, and the one under way, are lost.
        assert jobs.curves(job)["loss"][0][-1] >= first + 32 - 3 * 8
        jobs.resume(job)
        wait_for(lambda: state_of(jobs, job) in ("done", "failed"), 500)
        assert state_of(jobs, job) == "done", jobs.status(job).message
        card = jobs.result(job)
        assert card is not None and card.identity == "needle-tip-site 1" and not card.default
        assert card.origin == "user"
        assert "labelled frames of here (2 subjects, machine F, simulated)" in card.training_data
        assert card.card_path.is_file() and [p.name for p in jobs.pictures(job)] == ["validation-stills.png",
                                                                                      "validation.png"]
        samples, losses = jobs.curves(job)["loss"]
        assert samples == sorted(set(samples)) and samples[-1] == 240 and len(losses) == len(samples)
        assert any(name.startswith("tune: ") for name in jobs.curves(job))
        assert {"clips", "work", "finish"} & jobs.pace.read("tip_site").keys() >= {"work", "finish"}
    finally:
        jobs.close()
