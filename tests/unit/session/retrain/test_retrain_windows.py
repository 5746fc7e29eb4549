"""Trainings that several windows and programs share: none disturbs the other, and what one leaves another resumes."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
import tomli_w
from retrain_stage import BASE, how, make_jobs, state_of, wait_for

from puncta.core.errors import UserError
from puncta.session import retrain, retrain_records, retrain_run
from puncta.session.retrain import RetrainJobs, RetrainPlan
from puncta.session.retrain_pace import PaceTable
from puncta.session.retrain_records import read_record


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
        how(again, job, steps=int((again.folder / job / "training" / "checkpoint.pt").read_text()) + 1)
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
job = jobs.start(RetrainPlan("one", "tip_site", folder / "sets" / "here", "needle-tip-ut 0.5"))
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
        wait_for(lambda: (folder / "training" / "checkpoint.pt").exists(), 120)
        record = read_record(folder)
        assert record is not None
    finally:
        window.kill()
        window.wait()
        window.stdout.close()
    wait_for(lambda: not psutil.pid_exists(record.pid) or psutil.Process(record.pid).status() == "zombie")
    at = int((folder / "training" / "checkpoint.pt").read_text())
    jobs = make_jobs(tmp_path)
    try:
        status = jobs.status(job)
        assert status.state == "interrupted" and "resume" in status.message
        how(jobs, job, steps=at + 1)
        jobs.resume(job)
        wait_for(lambda: state_of(jobs, job) == "done")
    finally:
        jobs.close()
