"""The training loop: samples in, weights out. Stopped at any moment it goes on from its last checkpoint.

Sample number i is a function of (seed, i) alone and the learning rate of the step alone, so an interrupted run ends in
the same weights as one that was never stopped, and the same seed gives the same weights on the same CPU and threads.
"""

from __future__ import annotations

import io
import json
import math
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from puncta.formats.atomic import AtomicFile, plain_os_error
from puncta.training.augment import STRIDE, Sample, make_sample
from puncta.training.data import Clip
from puncta.training.device import choose_device, move_to
from puncta.training.losses import Targets, tip_loss
from puncta.training.stopping import asked_to_pause

CHECKPOINT = "checkpoint.pt"
LOG = "log.jsonl"


@dataclass(frozen=True, slots=True)
class LoopSettings:
    """Budget and optimiser.

    Attributes
    ----------
    samples : int
        Frames answered on in all; the budget is never wall clock.
    batch, length : int
        Frames of one step, and of one sample, one after another; a step takes ``batch / length`` of these.
    plain_looks, any_scale : float
        Shares of samples with looks left nearly as they are, and at quite another scale.
    stages : tuple of (int, int)
        (size [px], frames) one after another, for a training that begins small and quick; ``size`` follows them.
    device : str
        "cpu", or "cuda" for a GPU, where the same seed gives nearly the same weights.
    workers : int
        Threads that make samples ahead; the samples do not depend on their number.
    stop_after : int or None
        Steps after which to stop early, as a cancelled run would (tests, trials).
    """

    samples: int
    batch: int
    learning_rate: float
    weight_decay: float
    ema: float
    warm_up: float
    seed: int
    size: int
    threads: int = 2
    bfloat16: bool = True
    checkpoint_every: int = 100
    augment: bool = True
    plain_looks: float = 0.0
    any_scale: float = 0.0
    stop_after: int | None = None
    length: int = 1
    stages: tuple[tuple[int, int], ...] = ()
    device: str = "cpu"
    workers: int = 2

    @property
    def steps(self) -> int:
        """Optimiser steps in all."""
        return max(1, self.samples // self.batch)

    @property
    def draws(self) -> int:
        """Samples of one step."""
        return max(1, self.batch // self.length)

    def size_at(self, step: int) -> int:
        """Side of the input [px] at a step."""
        done = step * self.batch
        for size, frames in self.stages:
            if done < frames:
                return size
            done -= frames
        return self.size

    def rate(self, step: int) -> float:
        """Learning rate at a step: linear warm-up, then half a cosine down to a hundredth."""
        warm = max(1, int(self.warm_up * self.steps))
        if step < warm:
            return self.learning_rate * (step + 1) / warm
        done = (step - warm) / max(1, self.steps - warm)
        return self.learning_rate * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(1.0, done))))


class ClipPool:
    """Draws the clip of each sample number, by groups with shares (simulated, composite)."""

    def __init__(self, groups: Sequence[tuple[float, Sequence[Clip]]], seed: int) -> None:
        self.groups = [
            (share, [c for c in clips if (c.judged >= 0).any()]) for share, clips in groups if share > 0 and clips
        ]
        self.groups = [(share, clips) for share, clips in self.groups if clips]
        if not self.groups:
            raise ValueError("there is no clip with a judged frame to train on")
        total = sum(share for share, _ in self.groups)
        self.edges = np.cumsum([share / total for share, _ in self.groups])
        self.seed = seed

    def draw(self, number: int) -> tuple[Clip, np.random.Generator]:
        """Draw the clip of sample ``number`` and the generator that goes on."""
        rng = np.random.default_rng([self.seed, number])
        group = self.groups[int(np.searchsorted(self.edges, rng.random(), side="right").clip(0, len(self.groups) - 1))]
        return group[1][int(rng.integers(len(group[1])))], rng


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch on its way into the network."""

    channels: Tensor
    targets: Any


@dataclass(frozen=True, slots=True)
class Task:
    """What a network is taught: how its samples are drawn and stacked, and its loss.

    Attributes
    ----------
    draw : callable
        (clip, generator) -> sample.
    stack : callable
        Samples -> batch.
    loss : callable
        (answer of the network, targets) -> (loss, parts by name).
    """

    draw: Callable[[Clip, np.random.Generator], Any]
    stack: Callable[[Sequence[Any]], Batch]
    loss: Callable[[Any, Any], tuple[Tensor, dict[str, float]]]


def stack_samples(samples: Sequence[Sample]) -> Batch:
    """Stack samples into a batch: channels (B, T, 5, S, S), targets of all frames one after another."""
    told = [t for s in samples for t in s.targets]
    return Batch(
        torch.from_numpy(np.stack([s.channels for s in samples])),
        Targets(
            heat=torch.from_numpy(np.stack([t.heat for t in told])),
            shaft=torch.from_numpy(np.stack([t.shaft for t in told])),
            cell=torch.tensor([t.cell for t in told], dtype=torch.long),
            offset=torch.tensor([t.offset for t in told], dtype=torch.float32),
            direction=torch.tensor([t.direction for t in told], dtype=torch.float32),
            present=torch.tensor([t.present for t in told], dtype=torch.float32),
            axis=torch.tensor([t.axis for t in told], dtype=torch.bool),
        ),
    )


def tip_task(size: int, augment: bool, length: int = 1, plain_looks: float = 0.0, any_scale: float = 0.0) -> Task:
    """The task of the tip network: runs of ``length`` frames in, maps and presence on each of them out."""
    return Task(
        lambda clip, rng: make_sample(clip, size, rng, length, not augment, plain_looks, any_scale),
        stack_samples,
        lambda answer, targets: tip_loss(answer[0], answer[1], targets),
    )


def batches(
    pool: ClipPool, task_at: Callable[[int], Task], settings: LoopSettings, first: int
) -> Iterator[tuple[Task, Batch]]:
    """Yield the batches from step ``first`` on, made ahead in other threads."""

    def make(step: int) -> tuple[Task, Batch]:
        task = task_at(settings.size_at(step))
        numbers = range(step * settings.draws, (step + 1) * settings.draws)
        return task, task.stack([task.draw(*pool.draw(n)) for n in numbers])

    with ThreadPoolExecutor(max_workers=settings.workers, thread_name_prefix="samples") as workers:
        ahead: list[Future[tuple[Task, Batch]]] = []
        for step in range(first, settings.steps):
            while len(ahead) < settings.workers + 2 and step + len(ahead) < settings.steps:
                ahead.append(workers.submit(make, step + len(ahead)))
            yield ahead.pop(0).result()


def update_average(average: nn.Module, net: nn.Module, step: int, decay: float) -> None:
    """Move the averaged weights towards the network's (faster in the first steps); copy whole-number buffers."""
    keep = min(decay, (1 + step) / (10 + step))
    with torch.no_grad():
        for a, b in zip(average.state_dict().values(), net.state_dict().values()):
            if a.dtype.is_floating_point:
                a.mul_(keep).add_(b, alpha=1 - keep)
            else:
                a.copy_(b)


Watch = Callable[[int, dict[str, float], float], None]
"""Called with (step, losses, learning rate)."""


def train_net(
    build: Callable[[], nn.Module],
    pool: ClipPool,
    settings: LoopSettings,
    folder: Path,
    watch: Watch | None = None,
    examine: Callable[[nn.Module], dict[str, float]] | None = None,
    examine_every: int = 1000,
    task: Task | Callable[[int], Task] | None = None,
    kept: Callable[[], None] | None = None,
) -> tuple[nn.Module, bool]:
    """Train and return the averaged network, and whether all steps are done.

    Parameters
    ----------
    build : callable
        Makes the network; called after seeding.
    folder : Path
        Holds the checkpoint and log.jsonl; a checkpoint found there is gone on from.
    examine : callable
        Figures of the averaged network on the tune split, logged every ``examine_every`` steps.
    task : Task, function (size [px]) -> Task, or None
        None is the tip network's.
    kept : callable
        Called after every checkpoint, when the log is up to date.

    Raises
    ------
    UserError
        A GPU is asked for and there is none.
    """
    device = choose_device(settings.device)
    shares = settings.plain_looks, settings.any_scale
    wanted = task or (lambda size: tip_task(size, settings.augment, settings.length, *shares))
    task_at = wanted if callable(wanted) else lambda _size: wanted
    torch.set_num_threads(settings.threads)
    torch.set_flush_denormal(True)
    torch.use_deterministic_algorithms(True, warn_only=True)
    cv2.setNumThreads(1)
    torch.manual_seed(settings.seed)
    net, average = (_lay_out(build()).to(device) for _ in range(2))
    average.load_state_dict(net.state_dict())
    plain = [p for p in net.parameters() if p.ndim == 1]
    weights = [p for p in net.parameters() if p.ndim > 1]
    optimiser = torch.optim.AdamW(
        [{"params": weights, "weight_decay": settings.weight_decay}, {"params": plain, "weight_decay": 0.0}],
        lr=settings.learning_rate, betas=(0.9, 0.99),
    )
    step, spent, sums = _resume(folder, net, average, optimiser, device)
    began = time.monotonic() - spent
    _trim_log(folder / LOG, step)
    for made_for, batch in batches(pool, task_at, settings, step):
        rate = settings.rate(step)
        for group in optimiser.param_groups:
            group["lr"] = rate
        net.train()
        with torch.autocast(device.type, torch.bfloat16, enabled=settings.bfloat16):
            answer = net(move_to(batch.channels, device))
        loss, parts = made_for.loss(answer, move_to(batch.targets, device))
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 5.0)
        optimiser.step()
        step += 1
        update_average(average, net, step, settings.ema)
        for name, value in parts.items():
            sums[name] = sums.get(name, value) * 0.95 + 0.05 * value
        stop = (settings.stop_after is not None and step >= settings.stop_after) or asked_to_pause()
        elapsed = time.monotonic() - began
        if step % settings.checkpoint_every == 0 or step == settings.steps or stop:
            log_line(folder / LOG, step, settings, "train", elapsed, rate, losses=sums)
            if examine and (step % examine_every == 0 or step == settings.steps):
                log_line(folder / LOG, step, settings, "tune", elapsed, rate, metrics=examine(average.eval()))
            _save(folder, step, elapsed, sums, net, average, optimiser)
            if kept:
                kept()
        if watch:
            watch(step, sums, rate)
        if stop:
            break
    return average.eval(), step >= settings.steps


def _lay_out(net: nn.Module) -> nn.Module:
    """Channels last, which is quicker on CPUs; networks with 3-D convolutions know no such layout."""
    if any(p.ndim == 5 for p in net.parameters()):
        return net
    return net.to(memory_format=torch.channels_last)


def _save(
    folder: Path, step: int, elapsed: float, sums: dict[str, float], net: nn.Module, average: nn.Module, optimiser: Any
) -> None:
    state = {"net": net.state_dict(), "average": average.state_dict(), "optimiser": optimiser.state_dict()}
    save_whole({"step": step, "elapsed": elapsed, "sums": sums, **state}, folder / CHECKPOINT)


def save_whole(state: Any, path: Path) -> None:
    """Write what PyTorch saves to a file that is whole or not there.

    Raises
    ------
    UserError
        It cannot be written; the disk is full.
    """
    packed = io.BytesIO()
    torch.save(state, packed)
    with AtomicFile(path, binary=True) as file:
        file.write(packed.getvalue())


def _resume(
    folder: Path, net: nn.Module, average: nn.Module, optimiser: Any, device: torch.device
) -> tuple[int, float, dict[str, float]]:
    """Load the checkpoint, if there is one; return its step, time spent [s] and running means of the losses."""
    path = folder / CHECKPOINT
    if not path.exists():
        return 0, 0.0, {}
    state = torch.load(path, weights_only=True, map_location=device)
    net.load_state_dict(state["net"])
    average.load_state_dict(state["average"])
    optimiser.load_state_dict(state["optimiser"])
    return int(state["step"]), float(state["elapsed"]), dict(state.get("sums", {}))


def _trim_log(path: Path, step: int) -> None:
    """Take out lines that a stopped run wrote after its last checkpoint."""
    if not path.exists():
        return
    kept = [line for line in path.read_text(encoding="utf-8").splitlines() if _step_of(line) <= step]
    path.write_text("".join(line + "\n" for line in kept), encoding="utf-8")


def _step_of(line: str) -> float:
    try:
        return json.loads(line)["step"]
    except (json.JSONDecodeError, KeyError):
        return math.inf


def log_line(
    path: Path, step: int, settings: LoopSettings, split: str, elapsed: float, rate: float, **figures: dict[str, float]
) -> None:
    """Add a line to a training's log; raises UserError where it cannot be written."""
    line = {
        "step": step, "samples": step * settings.batch, "split": split, "elapsed_s": round(elapsed, 1),
        "learning_rate": round(rate, 8),
        **{kind: {k: round(v, 5) for k, v in values.items()} for kind, values in figures.items()},
    }
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
    except OSError as error:
        raise plain_os_error(error, path, "write") from error


def decode_cells(maps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Find each map's tip: (B, 6, h, w) -> (points [input px] of shape (B, 2), logits of shape (B,))."""
    count, _, _, width = maps.shape
    flat = maps[:, 0].reshape(count, -1)
    best = flat.argmax(axis=1)
    rows, columns = best // width, best % width
    index = np.arange(count)
    x = columns + maps[index, 1, rows, columns]
    y = rows + maps[index, 2, rows, columns]
    return np.stack([x, y], axis=1) * STRIDE + (STRIDE - 1) / 2, flat[index, best]


def examine_samples(net: nn.Module, samples: Sequence[Sample], size: int) -> dict[str, float]:
    """Figures on the last frames of fixed samples: share of tips within 5 % of the side, ranking of presence (AUC)."""
    errors, scores, present = [], [], []
    with torch.no_grad():
        for start in range(0, len(samples), 16):
            part = samples[start : start + 16]
            answer = net(move_to(stack_samples(part).channels, next(net.parameters()).device))
            points, _ = decode_cells(answer[0][:, -1].float().cpu().numpy())
            scores += answer[1][:, -1].tolist()
            for sample, point in zip(part, points):
                asked = sample.targets[-1]
                present.append(asked.present > 0.5)
                if asked.cell[0] >= 0:
                    tip = (np.array(asked.cell[::-1]) + np.array(asked.offset)) * STRIDE + (STRIDE - 1) / 2
                    errors.append(float(np.hypot(*(point - tip))))
    out = {"within_5_percent": float(np.mean(np.array(errors) <= 0.05 * size)) if errors else math.nan}
    yes, no = np.array(scores)[present], np.array(scores)[~np.array(present)]
    if len(yes) and len(no):
        out["presence_auc"] = float((yes[:, None] > no[None]).mean())
    return {k: v for k, v in out.items() if math.isfinite(v)}
