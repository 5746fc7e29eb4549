"""Sets the thresholds of a finished training again, without training: for a new rule, or more clips to tune on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path

from puncta.core.errors import UserError
from puncta.formats.atomic import write_text_atomic
from puncta.training.calibrate import Calibration, calibrate
from puncta.training.data import Clip
from puncta.training.folder import CALIBRATION, GRAPH, HEAD, TABLE
from puncta.training.parity import open_exported


def recalibrate(folder: Path, clips: Sequence[Clip], tell: Callable[[int, int], None] | None = None) -> Calibration:
    """Calibrate a training folder's graph on clips of its tune split and write what comes of it.

    Parameters
    ----------
    clips : sequence of Clip
        ``[c for part in puncta.training.run.tune_split(folder, data_root, cache)[1] for c in part]``.
    tell : callable or None
        Called with (clips done, clips).

    Raises
    ------
    UserError
        The folder holds no finished training.
    """
    try:
        head = json.loads((folder / HEAD).read_text(encoding="utf-8"))
        size = int(head["config"]["model"]["input"]["size"])
        session = open_exported(folder / GRAPH)
    except (FileNotFoundError, KeyError) as error:
        raise UserError(f"The folder {folder} holds no finished training; go on with it by --resume.") from error
    calibration = calibrate(session, clips, size, tell)
    write_calibration(folder, calibration)
    table = folder / TABLE
    head.setdefault("files", {})["table"] = {
        "path": TABLE, "sha256": hashlib.sha256(table.read_bytes()).hexdigest(),
    }
    write_text_atomic(folder / HEAD, json.dumps(head, indent=2) + "\n")
    return calibration


def write_calibration(folder: Path, calibration: Calibration) -> None:
    """Write `calibration.json` and `table.md` of a training folder."""
    text = json.dumps({**calibration.as_spec(), "figures": calibration.figures}, indent=2)
    write_text_atomic(folder / CALIBRATION, text + "\n")
    lines = ["Tune split (never the test sets): simulated machines of training, and drawn needles on stills.", ""]
    lines += ["| figure | value |", "| --- | --- |", *(f"| {k} | {v:g} |" for k, v in calibration.figures.items())]
    write_text_atomic(folder / TABLE, "\n".join(lines) + "\n")
