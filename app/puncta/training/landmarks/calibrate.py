"""Sets what a landmark network needs besides weights, on the tune split alone: chances, thresholds, limits, filter.

Chances are Platt-scaled and lie inside the graph. Thresholds keep a stated risk: of the labels that are decided, at
most `RISK` are wrong, for yes and for no of each flag, on tune frames as they are and on tune frames as other machines
might show them (`puncta.training.appearance` and tones of real stills); the stricter of the two counts. The latter are
a stand-in for machines nobody has seen, not those machines.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from puncta.imaging.flag_filter import FlagFilter, FlagFilterSettings, FlagState
from puncta.imaging.flag_maps import find_evidence
from puncta.training.familiar import Familiar
from puncta.training.fitting import calibration_error, cross_fit, fit_logistic
from puncta.training.landmarks.augment import Changes, Sample, Styles, make_sample
from puncta.training.landmarks.data import FLAGS, SPINE, Shot
from puncta.training.landmarks.export import Scaling, as_input
from puncta.training.nets.lp_small import LandmarkNet

RISK = 0.05
FAMILIAR_SHARE = 0.99
"""Share of tune spines, other looks included, that must stay below the limit of each measure of strangeness. It lies
there and no higher: what else there is to be told apart lies nearer to a spine than any picture at hand."""
STRANGENESS_GIVE = 0.4
"""How far the strangeness must go back below its limit; a picture that hovers there stays unfamiliar."""
GIVES = (0.5, 1.0, 1.5, 2.0, 3.0)
ENTERS = (0.0, 0.5, 1.0, 1.5)
FLICKER_MOST = 0.7
"""Changes a minute, all flags together, while the truth stays; less than the one that is promised."""
CINE_STEP_NS, CINE_EVERY = 40_000_000, 2
"""A steady cine's frames are taken as 25 a second [ns]; the plugin looks at every second one."""
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


def least_threshold(logits: NDArray[np.float64], right: NDArray[np.bool_], risk: float = RISK) -> float:
    """Return the lowest threshold, from 0 up, above which at most ``risk`` of the decisions are wrong.

    Counted with one more wrong decision than there is, so that a handful of frames promises nothing. Infinite where no
    threshold keeps the risk.
    """
    chosen = logits > 0
    order = np.argsort(-logits[chosen])
    values = logits[chosen][order]
    wrong = np.cumsum(~right[chosen][order])
    held = np.flatnonzero((wrong + 1) / (np.arange(len(values)) + 2) <= risk)
    if not len(held):
        return math.inf
    last = int(held[-1])
    return 0.0 if last == len(values) - 1 else float(values[last])


def thresholds(
    logits: Sequence[NDArray[np.float64]], flags: Sequence[NDArray[np.float32]], most: float
) -> tuple[list[float], list[float]]:
    """Return the thresholds for yes and for no of each flag that keep the risk on every one of the sets given."""
    yes, no = [], []
    for k in range(len(FLAGS)):
        up = down = 0.0
        for rows, truth in zip(logits, flags, strict=True):
            asked = truth[:, k] >= 0
            up = max(up, least_threshold(rows[asked, k], truth[asked, k] == 1))
            down = max(down, least_threshold(-rows[asked, k], truth[asked, k] == 0))
        yes.append(round(min(up, most), 4))
        no.append(round(-min(down, most), 4))
    return yes, no


def limits(familiar: NDArray[np.float64]) -> tuple[float, float]:
    """Return (middle of the familiar, limit) of a measure of strangeness; see `FAMILIAR_SHARE`."""
    middle, edge = (float(v) for v in np.quantile(familiar, (0.5, FAMILIAR_SHARE)))
    return middle, max(edge, middle + 1e-3)


@dataclass(frozen=True, slots=True)
class Steadiness:
    """How a filter does on cines: changes a minute while the truth stays, wrong among the decided, not decided."""

    per_minute: float
    wrong: float
    withheld: float


def steadiness(
    rows: Sequence[NDArray[np.float64]], flags: Sequence[NDArray[np.float32]], settings: FlagFilterSettings
) -> Steadiness:
    """Run the filter as the plugin does and count, changes summed over the flags.

    Parameters
    ----------
    rows, flags : sequence of ndarray, shape (T, 3)
        One a cine; calibrated logits of every frame and what is true.
    """
    changes, minutes = np.zeros(len(FLAGS)), np.zeros(len(FLAGS))
    wrong = decided = asked = 0
    for logits, true in zip(rows, flags, strict=True):
        filter_, truth = FlagFilter(settings), true[::CINE_EVERY]
        said = [filter_.update(row, i * CINE_EVERY * CINE_STEP_NS).states for i, row in enumerate(logits[::CINE_EVERY])]
        for k in range(len(FLAGS)):
            states = [s[k] for s in said]
            told = [s is FlagState.YES for s in states]
            sure = np.array([s is not FlagState.UNKNOWN for s in states])
            wrong += int((sure & (np.array(told) != (truth[:, k] == 1))).sum())
            decided += int(sure.sum())
            asked += len(sure)
            stays = truth[1:, k] == truth[:-1, k]
            changes[k] += sum(a is not b and same for a, b, same in zip(states, states[1:], stays))
            minutes[k] += float(stays.sum()) * CINE_EVERY * CINE_STEP_NS / 60e9
    return Steadiness(
        float((changes / np.maximum(minutes, 1e-9)).sum()), wrong / max(1, decided), 1 - decided / max(1, asked)
    )


def choose_margins(
    rows: Sequence[NDArray[np.float64]], flags: Sequence[NDArray[np.float32]], settings: dict[str, Any]
) -> tuple[dict[str, float], dict[str, float]]:
    """Return the filter's margins and their figures: of those that keep flicker low, the ones that withhold least.

    Where none does, the ones with the least flicker.
    """
    tried = []
    for give, enter in itertools.product(GIVES, ENTERS):
        found = steadiness(rows, flags, FlagFilterSettings(**settings, give=give, enter=enter))
        tried.append((max(found.per_minute, FLICKER_MOST), found.wrong > RISK, found.withheld, give, enter, found))
    *_, give, enter, found = min(tried, key=lambda t: t[:5])
    alone = FlagFilterSettings(**{**settings, "window_s": 0.0}, give=0.0)
    return {"give": give, "enter": enter}, {
        "flicker_per_minute": found.per_minute,
        "flicker_unfiltered": steadiness(rows, flags, alone).per_minute,
        "filtered_wrong_of_decided": found.wrong, "filtered_withheld": found.withheld,
    }


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
    most = 6.0
    yes, no = thresholds((crossed, looked), (plain.flags, looks.flags), most)
    strange = _strangeness(net, familiar, plain, looks, split, size)
    filtering = {"window_s": 0.2, "most": most, "strangeness_give": STRANGENESS_GIVE}
    figures = {
        "frames": float(len(plain.samples)),
        **figures_of(plain, crossed),
        "ece": float(np.mean([_ece(crossed, plain.flags, k) for k in range(len(FLAGS))])),
        **{f"ece_{name}": _ece(crossed, plain.flags, k) for k, name in enumerate(FLAGS)},
        **_decisions(crossed, plain.flags, yes, no, ""),
        **_decisions(looked, looks.flags, yes, no, "looks_"),
        "looks_f1": figures_of(looks, looked)["f1"],
        **strange["figures"],
    }
    margins = {"give": 1.5, "enter": 0.5}
    if split.cines:
        told = [answer_shots(net, [cine], size) for cine in split.cines]
        rows = [scaled(t.answers.logits, scaling) for t in told]
        settings = {"names": FLAGS, "yes": tuple(yes), "no": tuple(no), "window_s": 0.2, "most": most}
        margins, steady = choose_margins(rows, [t.flags for t in told], settings)
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


def _strangeness(
    net: LandmarkNet, familiar: Familiar, plain: Told, looks: Told, split: TuneSplit, size: int
) -> dict[str, Any]:
    """Limits of both measures, and what they do to tune pictures."""
    kinds = {"familiar": plain.answers, "familiar_looks": looks.answers}
    for name, shots in (("stills", split.stills), ("organs", split.others), ("site", split.site)):
        if shots:
            kinds[name] = answer_shots(net, shots, size).answers
    measured = {}
    for name, found in kinds.items():
        with torch.no_grad():
            away = familiar(torch.from_numpy(found.features.astype(np.float32))).numpy()
        measured[name] = (away.astype(np.float64), found.other)
    own = [np.concatenate([measured[n][m] for n in ("familiar", "familiar_looks", "site") if n in measured])
           for m in (0, 1)]
    distance, other = (limits(rows) for rows in own)
    figures = {}
    for name, (away, logit) in measured.items():
        far = (away - distance[0]) / (distance[1] - distance[0])
        named = (logit - other[0]) / (other[1] - other[0])
        figures[f"unfamiliar_{name}"] = float((np.maximum(far, named) > 1).mean())
    return {"distance": distance, "other": other, "figures": figures}


def _ece(logits: NDArray[np.float64], flags: NDArray[np.float32], k: int) -> float:
    asked = flags[:, k] >= 0
    return calibration_error(1 / (1 + np.exp(-logits[asked, k])), flags[asked, k] == 1)


def _decisions(
    logits: NDArray[np.float64], flags: NDArray[np.float32], yes: Sequence[float], no: Sequence[float], prefix: str
) -> dict[str, float]:
    """Share of labels that are decided, and of those the wrong ones."""
    said = np.where(logits >= np.array(yes), 1, np.where(logits <= np.array(no), 0, -1))
    asked, decided = flags >= 0, (said >= 0) & (flags >= 0)
    return {
        f"{prefix}decided": float(decided.sum() / max(1, asked.sum())),
        f"{prefix}wrong_of_decided": float((said != flags)[decided].sum() / max(1, decided.sum())),
    }
