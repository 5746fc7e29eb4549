"""How a model runs best on this machine: measured once, kept, and measured again when the machine or model changes."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from puncta import paths
from puncta.core.errors import UserError
from puncta.inference.loaded import LoadedModel, Tuning
from puncta.inference.registry import ModelCard
from puncta.inference.session import available_providers, open_session, runtime_version
from puncta.sdk.context import TensorSpec

__all__ = ["Tuning", "TuningRow", "TuningTable", "measure", "remember", "stored_tuning", "tuning_for"]

_VERSION = 1
_MOST_THREADS = 4
_WARM_UP_RUNS = 3
_LEAST_RUNS = 20
_MOST_RUNS = 200
_TIME_A_CANDIDATE_S = 0.5
_SAMPLES = 3
_SAME_PRECISION_TOLERANCE = 1e-3
_LOWER_PRECISION_TOLERANCE = 2e-2
_KNOWN_DEVIATION_ROOM = 1.25
_WORTH_A_THREAD = 1.10


@dataclass(frozen=True, slots=True)
class TuningRow:
    """One candidate and how it did.

    Attributes
    ----------
    deviation : float or None
        Largest difference of an output from the reference, as a share of the reference's range over all samples.
    agrees : bool
        The deviation is small enough for the candidate to count.
    note : str
        Why there are no figures.
    """

    provider: str
    threads: int
    precision: str
    median_ms: float | None = None
    p95_ms: float | None = None
    deviation: float | None = None
    agrees: bool = False
    note: str = ""

    def tuning(self) -> Tuning:
        """The settings of this candidate."""
        return Tuning(threads=self.threads, provider=self.provider, precision=self.precision)


@dataclass(frozen=True, slots=True)
class TuningTable:
    """All candidates of a model on this machine, and the one that was chosen."""

    model: str
    sha256: str
    runtime: str
    cpu: str
    cores: int
    rows: tuple[TuningRow, ...]
    chosen: int

    @property
    def tuning(self) -> Tuning:
        """The chosen settings."""
        return self.rows[self.chosen].tuning()


def measure(
    card: ModelCard,
    cancelled: Callable[[], bool] = lambda: False,
    clock_ns: Callable[[], int] = time.perf_counter_ns,
) -> TuningTable | None:
    """Time every candidate on random input; None when it was cancelled.

    The reference is the card's file on the CPU with one thread. Of the candidates that agree with it (those of another
    precision: as far as its figure such as ``int8_deviation`` allows) the one with the lowest 95th percentile wins;
    fewer threads win within 10 %, since the window and the source need cores too.

    Raises
    ------
    UserError
        The reference itself cannot be opened.
    """
    reference = open_session(card, Tuning.deterministic())
    samples = [_random_feeds(reference, card, seed) for seed in range(_SAMPLES)]
    truth = [reference.run(feeds) for feeds in samples]
    rows: list[TuningRow] = []
    for candidate in _candidates(card):
        if cancelled():
            return None
        rows.append(_measure_one(card, candidate, samples, truth, clock_ns))
    return TuningTable(
        card.identity, card.sha256, runtime_version(), cpu_name(), core_count(), tuple(rows), _best(rows)
    )


def _candidates(card: ModelCard) -> Iterator[TuningRow]:
    for provider in available_providers():
        for entry in card.files:
            for threads in range(1, min(_MOST_THREADS, core_count()) + 1):
                yield TuningRow(provider, threads, entry.precision)


def _measure_one(
    card: ModelCard,
    candidate: TuningRow,
    samples: list[dict[str, NDArray[Any]]],
    truth: list[dict[str, NDArray[np.float32]]],
    clock_ns: Callable[[], int],
) -> TuningRow:
    facts = asdict(candidate)
    try:
        session = open_session(card, candidate.tuning())
        outputs = [session.run(feeds) for feeds in samples]
    except UserError as error:
        return TuningRow(**{**facts, "note": str(error)})
    except Exception as error:  # noqa: BLE001 - an optional provider may fail in ways of its own; it then does not count
        return TuningRow(**{**facts, "note": f"{type(error).__name__}: {error}"})
    deviation = deviation_from(truth, outputs)
    tolerance = _tolerance(card, candidate)
    times_ms = _time_runs(session, samples[0], clock_ns)
    return TuningRow(
        **{
            **facts,
            "median_ms": float(np.median(times_ms)),
            "p95_ms": float(np.percentile(times_ms, 95)),
            "deviation": deviation,
            "agrees": deviation <= tolerance,
            "note": "" if deviation <= tolerance else "its outputs differ from the reference",
        }
    )


def _tolerance(card: ModelCard, candidate: TuningRow) -> float:
    if candidate.precision == card.precision:
        # OpenVINO computes in bfloat16 where the processor can, so it is judged like a lower precision.
        return _SAME_PRECISION_TOLERANCE if candidate.provider == "cpu" else _LOWER_PRECISION_TOLERANCE
    # A variant that was accepted by what it finds may differ by as much here as it did there; more than that is this
    # machine's doing (processors without dot products of bytes saturate sums).
    known = card.metrics.get(f"{candidate.precision}_deviation")
    there = float(known) if isinstance(known, int | float) else 0.0
    return max(_LOWER_PRECISION_TOLERANCE, _KNOWN_DEVIATION_ROOM * there)


def deviation_on_samples(reference: LoadedModel, other: LoadedModel) -> float:
    """Return the deviation that `measure` finds between two files of one model."""
    samples = [_random_feeds(reference, reference.card, seed) for seed in range(_SAMPLES)]
    return deviation_from([reference.run(s) for s in samples], [other.run(s) for s in samples])


def _time_runs(session: LoadedModel, feeds: dict[str, NDArray[Any]], clock_ns: Callable[[], int]) -> list[float]:
    for _ in range(_WARM_UP_RUNS):
        session.run(feeds)
    times_ms: list[float] = []
    begin = clock_ns()
    while len(times_ms) < _MOST_RUNS:
        start = clock_ns()
        if len(times_ms) >= _LEAST_RUNS and (start - begin) / 1e9 >= _TIME_A_CANDIDATE_S:
            break
        session.run(feeds)
        times_ms.append((clock_ns() - start) / 1e6)
    return times_ms


def deviation_from(truth: list[dict[str, NDArray[np.float32]]], outputs: list[dict[str, NDArray[np.float32]]]) -> float:
    """Return the largest difference of an output from the reference, as a share of that output's range.

    The range runs over all samples; a constant output and one of a single number are compared with their size, or with
    1 where that is 0. Infinite where a shape differs or a number is not finite.
    """
    worst = 0.0
    for name in truth[0]:
        wanted = [t[name].astype(np.float64) for t in truth]
        got = [o[name].astype(np.float64) if name in o else np.empty(0) for o in outputs]
        if any(w.shape != g.shape for w, g in zip(wanted, got)):
            return float("inf")
        a, b = np.concatenate([w.ravel() for w in wanted]), np.concatenate([g.ravel() for g in got])
        if not a.size:
            continue
        if not (np.isfinite(a).all() and np.isfinite(b).all()):
            return float("inf")
        single = a.size == len(wanted)
        scale = (0.0 if single else float(np.ptp(a))) or float(np.abs(a).max()) or 1.0
        worst = max(worst, float(np.abs(a - b).max()) / scale)
    return worst


def _best(rows: list[TuningRow]) -> int:
    counted = [(row.p95_ms, number) for number, row in enumerate(rows) if row.agrees and row.p95_ms is not None]
    if not counted:
        return 0  # the reference's own settings come first
    limit = min(counted)[0] * _WORTH_A_THREAD
    good = [number for p95, number in counted if p95 <= limit]
    return min(good, key=lambda n: (rows[n].threads, rows[n].p95_ms))


def _random_feeds(session: LoadedModel, card: ModelCard, seed: int) -> dict[str, NDArray[Any]]:
    rng = np.random.default_rng(seed)
    feeds: dict[str, NDArray[Any]] = {}
    for spec in session.inputs:
        dtype = np.dtype(session.dtype_of(spec.name))
        shape = _concrete_shape(spec, card)
        if dtype.kind == "f":
            feeds[spec.name] = rng.random(shape).astype(dtype)
        elif dtype.kind == "b":
            feeds[spec.name] = rng.random(shape) < 0.5
        else:
            feeds[spec.name] = rng.integers(0, 128, shape).astype(dtype)
    return feeds


def _concrete_shape(spec: TensorSpec, card: ModelCard) -> tuple[int, ...]:
    """Fill free dimensions from the registry's input table: batch 1, then channels, height, width."""
    size = card.input.get("size") or (1, 1)
    if len(spec.shape) == 4:
        usual = (1, int(card.input.get("channels", 1)), int(size[0]), int(size[1]))
        if card.input.get("layout") == "NHWC":
            usual = (1, usual[2], usual[3], usual[1])
    else:
        usual = (1,) * len(spec.shape)  # type: ignore[assignment]
    return tuple(u if d < 0 else d for d, u in zip(spec.shape, usual))


def tuning_for(card: ModelCard) -> Tuning:
    """Return the kept settings of a model on this machine, or careful defaults; never measures."""
    return stored_tuning(card) or Tuning()


def stored_tuning(card: ModelCard) -> Tuning | None:
    """Return what was measured for a model on this machine with this runtime, or None."""
    entry = _read().get(_key(card))
    if not isinstance(entry, dict):
        return None
    threads, provider, precision = entry.get("threads"), entry.get("provider"), entry.get("precision")
    # The file is the user's: what does not hold is as if it was never measured.
    if not isinstance(threads, int) or not 1 <= threads <= _MOST_THREADS or provider not in available_providers():
        return None
    if precision not in {f.precision for f in card.files}:
        return None
    return Tuning(threads=threads, provider=provider, precision=precision)


def remember(card: ModelCard, table: TuningTable) -> None:
    """Keep the chosen settings.

    Raises
    ------
    UserError
        The cache folder cannot be written.
    """
    chosen = table.rows[table.chosen]
    entry = {
        "model": card.identity,
        "threads": chosen.threads,
        "provider": chosen.provider,
        "precision": chosen.precision,
        "median_ms": chosen.median_ms,
        "p95_ms": chosen.p95_ms,
    }
    text = json.dumps({"version": _VERSION, "entries": {**_read(), _key(card): entry}}, indent=2, sort_keys=True)
    path = _file()
    temporary = ""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=path.name, suffix=".tmp", dir=path.parent)
        with os.fdopen(handle, "w", encoding="utf-8") as out:
            out.write(text + "\n")
        os.replace(temporary, path)
    except OSError as error:
        if temporary:
            Path(temporary).unlink(missing_ok=True)
        raise UserError(f"The measured settings cannot be kept in {path}: {error.strerror or error}.") from error


def _file() -> Path:
    return paths.user_cache_dir() / "tuning.json"


def _read() -> dict[str, Any]:
    try:
        content = json.loads(_file().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    if not isinstance(content, dict) or content.get("version") != _VERSION:
        return {}
    entries = content.get("entries")
    return entries if isinstance(entries, dict) else {}


def _key(card: ModelCard) -> str:
    files = hashlib.sha256(" ".join(f.sha256 for f in card.files).encode()).hexdigest()
    runtimes = f"onnxruntime {runtime_version()}"
    if "openvino" in available_providers():
        with suppress(PackageNotFoundError):
            runtimes += f", openvino {version('openvino')}"
    return f"{files} | {runtimes} | {cpu_name()} | {core_count()} cores"


def core_count() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@cache
def cpu_name() -> str:
    """Name of the processor as the system tells it."""
    if sys.platform.startswith("linux"):
        with suppress(OSError):
            for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
    if sys.platform == "darwin":
        with suppress(OSError, subprocess.SubprocessError):
            told = subprocess.run(
                ["/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string"],
                capture_output=True,
                text=True,
                timeout=5,
                check=True,
            )
            return told.stdout.strip()
    return platform.processor() or platform.machine() or "unknown processor"
