"""Sets what a landmark network needs besides weights, on the tune split alone: chances, thresholds, limits, filter.

Chances are Platt-scaled and lie inside the graph. Thresholds and the filter's margins are those of
`puncta.training.landmarks.deciding`. Tune frames as other machines might show them (`puncta.training.appearance` and
tones of real stills) count there too: a stand-in for machines nobody has seen, not those machines.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from puncta.imaging.flag_maps import find_evidence
from puncta.training.familiar import Familiar
from puncta.training.fitting import calibration_error, cross_fit, fit_logistic
from puncta.training.landmarks.augment import Changes, Sample, Styles, make_sample
from puncta.training.landmarks.data import FLAGS, SPINE, Shot
from puncta.training.landmarks.deciding import (
    CINE_EVERY,
    RISK,
    TuneRows,
    choose_margins,
    decisions,
    least_level,
    raised,
    thresholds,
)
from puncta.training.landmarks.export import Scaling, as_input
from puncta.training.nets.lp_small import LandmarkNet

FAMILIAR_SHARE = 0.99
"""Share of tune spines, other looks included, that must stay below the limit of each measure of strangeness. It lies
there and no higher: what else there is to be told apart lies nearer to a spine than any picture at hand."""
STRANGENESS = {"strangeness_give": 0.4, "strangeness_enter": 0.4, "memory_s": 1.0, "strangeness_sudden": 1.7}
"""What the filter asks for between familiar and unfamiliar. Chosen on 24 streams of the tune subjects that come nearest
to the limit: by a mean over 0.2 s and the give alone they change 18 times in 4.8 minutes, with all of it once. No mean
over 0.2 s of a spine's strangeness reached 1.5 there; of other organs and stills 94 and 100 % lie beyond 1.4."""
WINDOW_S, MOST = 0.2, 6.0
ONE_SIGMA = 0.683
"""Share of errors within one standard deviation."""
_BATCH = 32


@dataclass(frozen=True, slots=True, eq=False)
class Answers:
    """What the network says of pictures, one row each.

    Attributes
    ----------
    logits : ndarray, shape (n, 3)
    cam : ndarray of float32, shape (n, 3, h, w)
    other : ndarray, shape (n,)
    features : ndarray, shape (n, F)
    """

    logits: NDArray[np.float64]
    cam: NDArray[np.float32]
    other: NDArray[np.float64]
    features: NDArray[np.float64]


def answer(net: LandmarkNet, pictures: Sequence[NDArray[np.uint8]]) -> Answers:
    """Run the network over pictures of its input's size."""
    net = net.eval()
    device = next(net.parameters()).device
    found: list[list[NDArray[Any]]] = [[], [], [], []]
    with torch.no_grad():
        for start in range(0, len(pictures), _BATCH):
            out = net(as_input(pictures[start : start + _BATCH]).to(device))
            for kept, values in zip(found, out, strict=True):
                kept.append(values.float().cpu().numpy())
    logits, cam, other, features = (np.concatenate(part) for part in found)
    return Answers(logits.astype(np.float64), cam, other.astype(np.float64), features.astype(np.float64))


@dataclass(frozen=True, slots=True, eq=False)
class Told:
    """Samples with answers and subjects' numbers."""

    samples: tuple[Sample, ...]
    answers: Answers
    subject: NDArray[np.int64]

    @property
    def flags(self) -> NDArray[np.float32]:
        """(n, 3), -1 where nobody said."""
        return np.stack([s.flags for s in self.samples])


def answer_shots(
    net: LandmarkNet, shots: Sequence[Shot], size: int, changes: Changes | None = None, styles: Styles | None = None,
    seed: int = 0,
) -> Told:
    """Sample every frame of shots once and answer it."""
    rng = np.random.default_rng(seed)
    numbers = {name: k for k, name in enumerate(dict.fromkeys(s.subject for s in shots))}
    samples = [make_sample(s, i, size, rng, changes, styles) for s in shots for i in range(len(s.frames))]
    subject = np.array([numbers[s.subject] for s in shots for _ in s.frames], np.int64)
    return Told(tuple(samples), answer(net, [s.picture for s in samples]), subject)


def fit_scaling(told: Told) -> tuple[Scaling, NDArray[np.float64]]:
    """Platt scaling of each flag; also the logits that the other folds' subjects would give each frame, (n, 3)."""
    scale, shift = [], []
    crossed = np.zeros_like(told.answers.logits)
    for k in range(len(FLAGS)):
        asked = told.flags[:, k] >= 0
        x, y = told.answers.logits[:, k : k + 1], told.flags[:, k] == 1
        solved = fit_logistic(x[asked], y[asked])
        scale.append(max(0.05, float(solved[0])))
        shift.append(float(solved[1]))
        crossed[:, k] = cross_fit(x, y, asked.astype(np.float64), told.subject)
    return Scaling((scale[0], scale[1], scale[2]), (shift[0], shift[1], shift[2])), crossed


def scaled(logits: NDArray[np.float64], scaling: Scaling) -> NDArray[np.float64]:
    """Calibrated logits, as the graph gives them."""
    return logits * np.array(scaling.scale) + np.array(scaling.shift)


def limits(familiar: NDArray[np.float64]) -> tuple[float, float]:
    """Return (middle of the familiar, limit) of a measure of strangeness; see `FAMILIAR_SHARE`."""
    middle, edge = (float(v) for v in np.quantile(familiar, (0.5, FAMILIAR_SHARE)))
    return middle, max(edge, middle + 1e-3)


def pointing(told: Told, logits: NDArray[np.float64]) -> tuple[float, int]:
    """Share of right yes whose map peaks on the lit structure, and how many there are."""
    hits = count = 0
    for sample, row, cam in zip(told.samples, logits, told.answers.cam, strict=True):
        for k in range(len(FLAGS)):
            if sample.flags[k] == 1 and row[k] > 0 and sample.parts[k].max() > 0.5:
                hits += bool(sample.parts[k].ravel()[int(cam[k].argmax())] >= 0.5)
                count += 1
    return (hits / count if count else math.nan), count


def depth_errors(told: Told, logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """How far the middle of the fluid's evidence lies from that of the lit fluid, along the beam.

    Over right yes to CSF; read off the map as the plugin does.

    Returns
    -------
    ndarray, shape (n, 2)
        Error [cells] and what `find_evidence` gives as the evidence's own spread [cells].
    """
    k = FLAGS.index("csf")
    rows = []
    for sample, row, cam in zip(told.samples, logits, told.answers.cam, strict=True):
        part = sample.parts[k]
        if sample.flags[k] != 1 or row[k] <= 0 or part.max() <= 0.5:
            continue
        cells = cam[k] - cam[k].mean() + np.float32(row[k])
        place = find_evidence(cells, (0, 0, cells.shape[1], cells.shape[0]))
        if place is not None:
            true = float((part.sum(axis=1) * np.arange(len(part))).sum() / part.sum())
            rows.append((abs(place.centre_px[1] - true), place.spread_px[1]))
    return np.array(rows, dtype=np.float64).reshape(-1, 2)


def figures_of(told: Told, logits: NDArray[np.float64]) -> dict[str, float]:
    """Micro F1, exact match, share of right labels and of pointing hits, at a chance of one half."""
    asked = (told.flags >= 0).all(axis=1)
    truth, said = told.flags[asked] == 1, logits[asked] > 0
    both, either = int((truth & said).sum()), int(truth.sum() + said.sum())
    found = {
        "f1": 2 * both / max(1, either),
        "exact": float((truth == said).all(axis=1).mean()),
        **{f"right_{name}": float((truth[:, k] == said[:, k]).mean()) for k, name in enumerate(FLAGS)},
    }
    hits, count = pointing(told, logits)
    return found | ({"pointing": hits} if count else {})


@dataclass(frozen=True, slots=True)
class Calibration:
    """All numbers: what goes into the graph, what goes into the registry entry, and figures on the tune split."""

    scaling: Scaling
    distance: tuple[float, float]
    other: tuple[float, float]
    calibration: dict[str, Any]
    filter: dict[str, float]
    figures: dict[str, float]

    def as_spec(self) -> dict[str, Any]:
        """Tables for the registry entry; the scaling is told though it lies inside the graph."""
        scale, shift = ([round(v, 6) for v in row] for row in (self.scaling.scale, self.scaling.shift))
        inside = {"scale": scale, "shift": shift}
        return {"filter": self.filter, "calibration": self.calibration, "inside": inside}


@dataclass(frozen=True, slots=True)
class TuneSplit:
    """What calibration looks at, none of it trained on: spines, pictures that are none, and steady cines.

    Only ``site`` was trained on: a site's frames, which must be familiar though its machine is not in the tune split.
    """

    spines: Sequence[Shot]
    others: Sequence[Shot]
    stills: Sequence[Shot]
    cines: Sequence[Shot]
    site: Sequence[Shot] = ()


def calibrate(net: LandmarkNet, familiar: Familiar, split: TuneSplit, size: int, styles: Styles | None) -> Calibration:
    """Fit everything; see the module."""
    spines = [s for s in split.spines if s.kind == SPINE]
    plain = answer_shots(net, spines, size)
    looks = answer_shots(net, spines, size, Changes(plain_looks=0.0, restyle=0.5, broken=0.0), styles, seed=1)
    scaling, crossed = fit_scaling(plain)
    looked = scaled(looks.answers.logits, scaling)
    machine = np.array([s.machine for s in spines for _ in s.frames])
    sets = (TuneRows(crossed, plain.flags, machine), TuneRows(looked, looks.flags, machine))
    level, held_out = least_level(sets, MOST)
    yes, no = raised(thresholds([r.logits for r in sets], [r.flags for r in sets], MOST), level)
    yes, no = [round(v, 4) for v in yes], [round(v, 4) for v in no]
    strange = _strangeness(net, familiar, plain, looks, split, size)
    filtering = {"window_s": WINDOW_S, "most": MOST, **STRANGENESS}
    figures = {
        "frames": float(len(plain.samples)),
        **figures_of(plain, crossed),
        "ece": float(np.mean([_ece(crossed, plain.flags, k) for k in range(len(FLAGS))])),
        **{f"ece_{name}": _ece(crossed, plain.flags, k) for k, name in enumerate(FLAGS)},
        **dict(zip(("decided", "wrong_of_decided"), decisions(sets[0], (yes, no)), strict=True)),
        **dict(zip(("looks_decided", "looks_wrong_of_decided"), decisions(sets[1], (yes, no)), strict=True)),
        "looks_f1": figures_of(looks, looked)["f1"],
        "level": level,
        **{f"wrong_left_out_{name}": share for name, share in held_out.items()},
        **strange["figures"],
    }
    margins = {"give": 1.5, "enter": 0.5}
    if split.cines:
        seen = [replace(c, frames=c.frames[::CINE_EVERY], flags=c.flags[::CINE_EVERY], maps=None) for c in split.cines]
        told = [answer_shots(net, [cine], size).answers for cine in seen]
        settings = {"names": FLAGS, "yes": tuple(yes), "no": tuple(no), "strangeness_most": 1.0, **filtering}
        margins, steady = choose_margins(
            [scaled(a.logits, scaling) for a in told], [np.asarray(c.flags, np.float32) for c in seen], settings,
            [strangeness_of(familiar, a, strange["distance"], strange["other"]) for a in told],
        )
        figures |= steady
    calibration: dict[str, Any] = {
        "flags": list(FLAGS), "yes": yes, "no": no, "stated_risk": RISK, "strangeness_most": 1.0,
    }
    depths = depth_errors(plain, crossed)
    if len(depths):
        # The spread of the evidence times this is one standard deviation of the depth that is read off it.
        calibration["depth_doubt"] = round(float(np.quantile(depths[:, 0] / depths[:, 1], ONE_SIGMA)), 4)
        figures["median_depth_error_cells"] = float(np.median(depths[:, 0]))
    steadied = {**filtering, **margins}
    return Calibration(scaling, strange["distance"], strange["other"], calibration, steadied, figures)


def strangeness_of(
    familiar: Familiar, answers: Answers, distance: tuple[float, float], other: tuple[float, float]
) -> NDArray[np.float64]:
    """Strangeness of each picture as the graph gives it, shape (n,); 1 is the limit."""
    with torch.no_grad():
        away = familiar(torch.from_numpy(answers.features.astype(np.float32))).numpy().astype(np.float64)
    far = (away - distance[0]) / (distance[1] - distance[0])
    return np.maximum(far, (answers.other - other[0]) / (other[1] - other[0]))


def _strangeness(
    net: LandmarkNet, familiar: Familiar, plain: Told, looks: Told, split: TuneSplit, size: int
) -> dict[str, Any]:
    """Limits of both measures, and what they do to tune pictures."""
    kinds = {"familiar": plain.answers, "familiar_looks": looks.answers}
    for name, shots in (("stills", split.stills), ("organs", split.others), ("site", split.site)):
        if shots:
            kinds[name] = answer_shots(net, shots, size).answers
    own = [kinds[name] for name in ("familiar", "familiar_looks", "site") if name in kinds]
    with torch.no_grad():
        away = [familiar(torch.from_numpy(a.features.astype(np.float32))).numpy() for a in own]
    distance = limits(np.concatenate(away).astype(np.float64))
    other = limits(np.concatenate([a.other for a in own]))
    figures = {
        f"unfamiliar_{name}": float((strangeness_of(familiar, found, distance, other) > 1).mean())
        for name, found in kinds.items()
    }
    return {"distance": distance, "other": other, "figures": figures}


def _ece(logits: NDArray[np.float64], flags: NDArray[np.float32], k: int) -> float:
    asked = flags[:, k] >= 0
    return calibration_error(1 / (1 + np.exp(-logits[asked, k])), flags[asked, k] == 1)
