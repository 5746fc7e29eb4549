"""A stand-in for the process that trains, and what tests ask of jobs."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

from puncta.session.retrain import RetrainJobs

BASE = "needle-tip-ut 0.5"

# Stands for `puncta train`: the same arguments, lines, files and exit status, and nothing learnt.
STAND_IN = '''
import json, sys, time
from pathlib import Path
import psutil
given = dict(zip(sys.argv[2::2], sys.argv[3::2]))
out, pause, parent = Path(given["--out"]), Path(given["--pause-file"]), int(given["--parent"])
out.mkdir(exist_ok=True)
kept = out / "checkpoint.pt"
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
