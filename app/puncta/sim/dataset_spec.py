"""What a dataset is to hold: a TOML file, checked, and the list of clips that follows from it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from puncta.core.errors import UserError
from puncta.formats.dataset_specs import SEED_END, VIEWS_OF, check_dataset_spec, stills_half
from puncta.formats.validate import read_toml

HARD_STRIDE = SEED_END
"""Step from a clip's seed to the next one that is tried where hard or easy clips are asked for."""
NEEDLE_FREE_SHARE = 0.12
LATE_SHARE = 0.25


@dataclass(frozen=True, slots=True)
class Part:
    """Some clips of one split; every key of the spec's ``[[part]]``.

    Attributes
    ----------
    split : str
        train, tune, test or another role.
    seeds : tuple of int
        Half-open range; one clip a seed, and a seed is a subject.
    frames, every : int
        Frames of a clip; every n-th simulated frame is kept, so that a clip covers more time.
    sizes_px : tuple of (width, height) [px]
        One is drawn for each clip.
    kind : str
        ``simulated``, or ``composite``: simulated needles on real needle-free stills.
    procedures, machines : tuple of str
        Clips take them in turn, every pair as often as the others. Empty for composites.
    views, approaches, conditions, levels, lesions : tuple of str
        One is drawn for each clip; empty leaves it to the subject's seed.
    weights_kg : (low, high) or None
        Range of an infant's weight [kg].
    needle_free, late : float
        Share of clips without a needle, and share of the others whose needle is still outside at the first frame.
    furniture : float
        Share of clips with rulers, text and margins as on machine screens.
    hard : float or None
        Share of the clips with a needle that are hard, the others easy; None takes what comes.
    masks, flags : bool
        Write the needle's masks; write the flags of an infant's window.
    vanish : (first, end) or None
        Half-open range of kept frames on which the needle, wherever it is, sends no echo and throws no shadow.
    folders : tuple of str
        Folders of real stills, relative to where the stills are. Empty means that place itself.
    """

    split: str
    seeds: tuple[int, int]
    frames: int
    sizes_px: tuple[tuple[int, int], ...]
    every: int = 1
    kind: Literal["simulated", "composite"] = "simulated"
    procedures: tuple[str, ...] = ()
    machines: tuple[str, ...] = ()
    views: tuple[str, ...] = ()
    approaches: tuple[str, ...] = ()
    conditions: tuple[str, ...] = ()
    levels: tuple[str, ...] = ()
    lesions: tuple[str, ...] = ()
    weights_kg: tuple[float, float] | None = None
    needle_free: float = NEEDLE_FREE_SHARE
    late: float = LATE_SHARE
    furniture: float = 0.0
    hard: float | None = None
    masks: bool = False
    flags: bool = False
    folders: tuple[str, ...] = ()
    vanish: tuple[int, int] | None = None

    @property
    def stills(self) -> str:
        """Half of the real stills that a composite part takes."""
        return stills_half(self.split)


@dataclass(frozen=True, slots=True)
class DatasetSpec:
    """A whole dataset.

    Attributes
    ----------
    label_set : str
        Label set that categories and flags come from.
    sha256 : str or None
        Digest that the built dataset must have.
    """

    name: str
    description: str
    part: tuple[Part, ...]
    license: str = "CC0-1.0"
    label_set: str = "needle"
    sha256: str | None = None

    def digest(self) -> str:
        """Return a hash over everything that decides what is built."""
        values = {name: value for name, value in asdict(self).items() if name != "sha256"}
        # A key that came later and says nothing leaves the digests of older specs as they were.
        values["part"] = [
            {k: v for k, v in part.items() if k != "vanish" or v is not None} for part in values["part"]
        ]
        return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()

    @property
    def composite(self) -> bool:
        """True where a part needs real stills."""
        return any(part.kind == "composite" for part in self.part)


@dataclass(frozen=True, slots=True)
class ClipPlan:
    """One clip to make.

    Attributes
    ----------
    number : int
        Place in the dataset, from 0; names its folder.
    rank : int
        Place among the clips of its part.
    procedure, machine : str
        Empty for composites.
    needle : bool
    start : "outside" or "inside"
        Where the needle is at the first frame.
    hard : bool or None
        What most of its frames have to be; None takes what comes.
    options : mapping
        Wishes for the subject by the names of `SubjectOptions`.
    approach : str or None
    stills, folders : str, tuple of str
        Half and folders of the real stills; empty for simulated clips.
    """

    number: int
    rank: int
    split: str
    kind: Literal["simulated", "composite"]
    procedure: str
    machine: str
    seed: int
    frames: int
    every: int
    size_px: tuple[int, int]
    furniture: bool
    needle: bool
    start: Literal["outside", "inside"]
    hard: bool | None
    options: Mapping[str, Any] = field(default_factory=dict)
    approach: str | None = None
    masks: bool = False
    flags: bool = False
    stills: str = ""
    folders: tuple[str, ...] = ()
    vanish: tuple[int, int] | None = None


def read_spec(path: Path) -> DatasetSpec:
    """Read a spec.

    Raises
    ------
    UserError
        The file cannot be read, is no TOML, or does not hold.
    """
    table = read_toml(path)
    problems = check_dataset_spec(table)
    if problems:
        more = f" ({len(problems) - 1} more; puncta doctor lists them)" if len(problems) > 1 else ""
        raise UserError(f"{path} needs a change: {problems[0]}{more}.")
    return spec_from_table(table)


def spec_from_table(table: Mapping[str, Any]) -> DatasetSpec:
    """Return the typed spec of a checked TOML table."""
    known = {f.name for f in fields(DatasetSpec)} - {"part"}
    values = {name: value for name, value in table.items() if name in known}
    return DatasetSpec(part=tuple(_part(part) for part in table["part"]), **values)


def _part(table: Mapping[str, Any]) -> Part:
    values = {name: _frozen(value) for name, value in table.items() if name not in ("difficulty", "stills")}
    values["furniture"] = float(table.get("furniture", 0.0))
    if "difficulty" in table:
        values["hard"] = 1.0 if table["difficulty"] == "hard" else 0.0
    return Part(**values)


def _frozen(value: Any) -> Any:
    return tuple(_frozen(v) for v in value) if isinstance(value, list) else value


def plan_clips(spec: DatasetSpec) -> tuple[ClipPlan, ...]:
    """Return the clips of a spec in their order; the same for the same spec."""
    plans: list[ClipPlan] = []
    for part in spec.part:
        plans += _plan_part(part, len(plans))
    return tuple(plans)


def _plan_part(part: Part, first: int) -> list[ClipPlan]:
    seeds = range(*part.seeds)
    free = _first_share(seeds, part.needle_free, "needle-free")
    with_needle = [seed for seed in seeds if seed not in free]
    late = _first_share(with_needle, part.late, "late")
    framed = _first_share(seeds, part.furniture, "furniture")
    hard = None if part.hard is None else _first_share(with_needle, part.hard, "hard")
    # Machines change fastest, so that each machine sees each procedure equally often.
    pairs = [(procedure, machine) for procedure in part.procedures for machine in part.machines] or [("", "")]
    plans = []
    for rank, seed in enumerate(seeds):
        procedure, machine = pairs[rank % len(pairs)]
        plans.append(
            ClipPlan(
                number=first + rank,
                rank=rank,
                split=part.split,
                kind=part.kind,
                procedure=procedure,
                machine=machine,
                seed=seed,
                frames=part.frames,
                every=part.every,
                size_px=part.sizes_px[_mixed(seed, "size") % len(part.sizes_px)],
                furniture=seed in framed,
                needle=seed not in free,
                start="outside" if seed in late else "inside",
                hard=None if hard is None or seed in free else seed in hard,
                options=_wishes(part, procedure, seed),
                approach=_choice(part.approaches, seed, "approach"),
                masks=part.masks,
                flags=part.flags,
                stills=part.stills if part.kind == "composite" else "",
                folders=part.folders,
                vanish=part.vanish if seed not in free else None,
            )
        )
    return plans


def _wishes(part: Part, procedure: str, seed: int) -> dict[str, Any]:
    """What is asked of one subject; a wish that its procedure does not have is left out."""
    wishes: dict[str, Any] = {}
    views = tuple(view for view in part.views if view in VIEWS_OF.get(procedure, ()))
    wishes["view"] = _choice(views, seed, "view")
    if procedure == "breast":
        wishes["lesion"] = _choice(part.lesions, seed, "lesion")
    if procedure == "infant-lp":
        wishes["condition"] = _choice(part.conditions, seed, "condition")
        wishes["level"] = _choice(part.levels, seed, "level")
        if part.weights_kg is not None:
            low, high = part.weights_kg
            wishes["weight_kg"] = round(low + (high - low) * _mixed(seed, "weight") / 2**64, 3)
    return {name: value for name, value in wishes.items() if value is not None}


def _choice(choices: Sequence[str], seed: int, purpose: str) -> str | None:
    return choices[_mixed(seed, purpose) % len(choices)] if choices else None


def _mixed(seed: int, purpose: str) -> int:
    """Return a number below 2^64 that depends on seed and purpose alone, and on neither in a regular way."""
    return int.from_bytes(hashlib.sha256(f"{purpose}/{seed}".encode()).digest()[:8], "big")


def _first_share(seeds: Sequence[int], share: float, purpose: str) -> frozenset[int]:
    """Choose a share of seeds, exactly as many as rounding gives."""
    return frozenset(sorted(seeds, key=lambda seed: _mixed(seed, purpose))[: round(share * len(seeds))])
