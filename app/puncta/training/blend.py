"""Puts the weights of two tip trainings together, one of them begun with the other's: a mean, with a share of each.

A network that was fine-tuned for new pictures forgets some of the old. Between the two sets of weights the loss is low
all the way, so a mean of them keeps more of both (Wortsman et al., "Robust fine-tuning of zero-shot models", CVPR
2022). Statistics of batch norm do not mean anything there and are measured anew on training samples.

    python -m puncta.training.blend EXPERIMENT --base DIR --tuned DIR --share 0.7 --data DIR --cache DIR --out DIR
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from puncta.core.errors import UserError
from puncta.imaging.motion_history import CHANNELS
from puncta.training.experiment import Experiment, find_experiment, read_experiment
from puncta.training.folder import HEAD, keep_leg, open_folder, read_weights, write_head
from puncta.training.loop import LOG, ClipPool, LoopSettings, batches, examine_samples, log_line, tip_task
from puncta.training.nets.tip_stream import TipStream
from puncta.training.run import finish, fixed_samples, gather_data, settings_of

Weights = Mapping[str, Tensor]


def blend_weights(base: Weights, tuned: Weights, share: float) -> dict[str, Tensor]:
    """Return ``share`` of the second and the rest of the first; whole numbers come from the second.

    Raises
    ------
    UserError
        They belong to different networks, or the share is none.
    """
    if not 0.0 <= share <= 1.0:
        raise UserError(f"A share lies between 0 and 1, not at {share:g}.")
    if {k: v.shape for k, v in base.items()} != {k: v.shape for k, v in tuned.items()}:
        raise UserError("The two trainings are of different networks, so their weights cannot be put together.")
    return {k: torch.lerp(base[k], v, share) if v.dtype.is_floating_point else v.clone() for k, v in tuned.items()}


def measure_statistics(net: nn.Module, pool: ClipPool, settings: LoopSettings) -> None:
    """Set the means and variances of all batch norms to those over ``settings.steps`` batches of training samples."""
    for part in net.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.reset_running_stats()
            part.momentum = None  # the plain mean over all batches
    net.train()
    shares = settings.plain_looks, settings.any_scale
    with torch.no_grad():
        for _, batch in batches(pool, lambda size: tip_task(size, True, settings.length, *shares), settings, 0):
            net(batch.channels)
    net.eval()


def blend_trainings(
    experiment: Experiment, base: Path, tuned: Path, share: float, out: Path, data_root: Path, cache: Path
) -> Path:
    """Make the training folder of two trainings put together; return the path of its head.

    Raises
    ------
    UserError
        A training is not finished, or they do not fit.
    """
    started = time.monotonic()
    weights = blend_weights(read_weights(base), read_weights(tuned), share)
    open_folder(out, experiment, resume=False)
    keep_leg(tuned, out)
    settings = settings_of(experiment)
    torch.set_num_threads(settings.threads)
    splits = gather_data(experiment, data_root, cache, lambda progress: print(progress.stage, progress.done, end="\r"))
    net = TipStream(len(CHANNELS), experiment.section("model")["widths"], shift=True)
    net.load_state_dict(weights)
    measure_statistics(net, ClipPool(splits.train, experiment.seed), settings)
    fixed = fixed_samples(splits.tune, settings.size, settings.length)
    figures = examine_samples(net, fixed, settings.size)
    log_line(out / LOG, settings.steps, settings, "tune", time.monotonic() - started, 0.0, metrics=figures)
    parity = finish(net, experiment, splits, fixed, out)
    best = {"step": settings.steps, "metric": "within_5_percent", "value": figures["within_5_percent"]}
    count = sum(p.numel() for p in net.parameters())
    write_head(out, experiment, "done", settings, settings.steps, count, started, parity, best)
    return out / HEAD


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m puncta.training.blend", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("experiment", help="an experiment that ships, or its file")
    parser.add_argument("--share", type=float, required=True, help="share of the second training's weights, 0 to 1")
    for name, words in (("base", "the first training"), ("tuned", "the one that went on from it"), ("out", "to make"),
                        ("data", "where backgrounds are"), ("cache", "where clips are kept")):
        parser.add_argument(f"--{name}", type=Path, required=True, metavar="DIR", help=words)
    given = parser.parse_args()
    try:
        experiment = read_experiment(find_experiment(given.experiment, None))
        head = blend_trainings(
            experiment, given.base, given.tuned, given.share, given.out, given.data, given.cache
        )
    except UserError as error:
        print(f"puncta: {error}", file=sys.stderr)
        return 2
    print(f"Made {head}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
