"""A window in Models for tests: opened on a clip, with a trainer that says what the test says."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from PySide6.QtCore import Qt
from PySide6.QtTest import QTest

from puncta.core.errors import UserError
from puncta.gui.app import Parts
from puncta.session.retrain import JobStatus, RetrainPlan
from puncta.settings import Settings

TIP = "needle-tip-ut 0.5"


def open_models(stage, qtbot, *, size: tuple[int, int] = (1280, 860), **settings: object) -> Parts:
    """A window on a clip, in Models, with its lists read."""
    kept = {"first_start_done": True, "enabled_plugins": ["echo"], "profile": "annotator", **settings}
    parts = stage.open(Settings(**kept), size=size)
    parts.window.open_uri("clip-a")
    qtbot.waitUntil(lambda: parts.desk.info is not None and parts.desk.analysis is not None)
    parts.window.does.run("mode_models")
    modeller = parts.window.modeller
    qtbot.waitUntil(lambda: modeller.desk.shelf is not None and modeller.desk.trainings.trainer is not None)
    qtbot.waitUntil(lambda: bool(modeller.left.rows))
    return parts


class Trainer:
    """Stands in for what carries out trainings: says what the test says, on a thread of its own."""

    def __init__(self) -> None:
        self.known: dict[str, JobStatus] = {}
        self.done: list[tuple[str, str]] = []
        self.plans: list[RetrainPlan] = []
        self.refuses = ""
        self._callbacks: list[Callable[[JobStatus], None]] = []

    def tell(self, job: JobStatus) -> None:
        self.known[job.id] = job
        thread = threading.Thread(target=lambda: [callback(job) for callback in self._callbacks])
        thread.start()
        thread.join()

    def become(self, job: str, state: str) -> None:
        self.tell(replace(self.known[job], state=state))

    def jobs(self) -> tuple[JobStatus, ...]:
        return tuple(self.known.values())

    def subscribe(self, callback: Callable[[JobStatus], None]) -> Callable[[], None]:
        self._callbacks.append(callback)
        return lambda: self._callbacks.remove(callback)

    def start(self, plan: RetrainPlan) -> str:
        if self.refuses:
            raise UserError(self.refuses)
        self.plans.append(plan)
        self.tell(job_of("new", "running", name=plan.name, base=plan.base, data=str(plan.data)))
        return "new"

    def pause(self, job: str) -> None:
        self.done.append(("pause", job))
        self.become(job, "paused")

    def resume(self, job: str) -> None:
        self.done.append(("resume", job))
        self.become(job, "running")

    def cancel(self, job: str) -> None:
        self.done.append(("cancel", job))
        self.become(job, "cancelled")

    def remove(self, job: str) -> None:
        self.done.append(("remove", job))
        del self.known[job]

    def curves(self, job: str) -> dict[str, tuple[list[float], list[float]]]:
        return {"loss": ([100.0, 200.0], [2.0, 1.5]), "tune: within 5 percent": ([200.0], [0.7])}

    def pictures(self, _job: str) -> tuple[Path, ...]:
        return ()

    def result(self, _job: str) -> None:
        return None

    def close(self) -> None:
        self.done.append(("close", ""))


def job_of(job: str, state: str, **facts: object) -> JobStatus:
    values: dict = {
        "id": job, "name": f"training {job}", "recipe": "tip_site", "plugin": "needle-tip", "base": TIP, "state": state,
        "stage": "training", "done": 500.0, "total": 1000.0, "unit": "samples", "elapsed_s": 130.0, "left_s": 300.0,
        "metrics": {}, "message": "", "folder": Path("kept"), "model": "needle-tip-site 1", "data": "site",
    }  # fmt: skip
    return JobStatus(**{**values, **facts})


def with_trainer(parts: Parts, *jobs: JobStatus) -> Trainer:
    """Put a trainer of known behaviour in place of the real one."""
    trainer = Trainer()
    trainings = parts.window.modeller.desk.trainings
    trainings.leave_trainer()
    trainer.known = {job.id: job for job in jobs}
    trainings.all = {}
    trainings.take_trainer(trainer)
    return trainer


def verbs(parts: Parts) -> dict[str, bool]:
    return {verb.action: verb.enabled for verb in parts.window.modeller.bar.verbs()}


def press(parts: Parts, action: str) -> None:
    button = parts.window.modeller.bar.buttons[action]
    assert button.isVisible() and button.isEnabled()
    QTest.mouseClick(button, Qt.MouseButton.LeftButton)
