"""Jobs that train: a real process that tells, pauses, fails, is killed, and goes on."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from retrain_stage import BASE, how, make_jobs, state_of, wait_for

from puncta.core.errors import UserError
from puncta.formats.dataset import (
    load_dataset,
    save_dataset,
)
from puncta.formats.experiment_files import read_table, shipped_experiments
from puncta.session import retrain_plans, retrain_run
from puncta.session.retrain import JobStatus, RetrainJobs, RetrainPlan, estimate
from puncta.session.retrain_pace import PaceTable, samples_within
from puncta.session.retrain_recipes import RECIPES, find_recipe
from puncta.session.retrain_records import read_record


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
    at = int((jobs.folder / job / "training" / "checkpoint.pt").read_text())
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
    at = int((jobs.folder / job / "training" / "checkpoint.pt").read_text())
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
    assert jobs.status(job).message.startswith("The disk is full") and "Resume" in jobs.status(job).message
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
    own = read_table(shipped_experiments()[recipe.experiment])["training"]["samples"]
    assert samples_within(recipe, pace, 600.0, True) == own
    short = RetrainPlan("one", "tip_site", site, BASE, minutes=4.0)
    assert estimate(short, tmp_path, tmp_path).minutes_high < known.minutes_high
    table = retrain_plans.experiment_of(short, recipe, "1", samples_within(recipe, pace, 4.0, False))
    assert 0 < table["training"]["stages"][0]["samples"] <= table["training"]["samples"] / 2 < own / 2


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
