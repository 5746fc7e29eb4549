"""What a simulated dataset is to hold: a TOML file, checked, and the list of clips that follows from it."""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from puncta.core.errors import UserError
from puncta.formats.atomic import read_text
from puncta.sdk.manifest import plain_validation
from puncta.sim.machines import PRESETS
from puncta.sim.tissues import PROCEDURES

Slug = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]*$", max_length=64)]
Words = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=2000)]
Share = Annotated[float, Field(ge=0.0, le=1.0)]
Pixels = Annotated[int, Field(ge=64, le=2048)]
HARD_STRIDE = 1_000_003
"""Step from a clip's seed to the next one that is tried where hard or easy clips are asked for."""


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Part(_Strict):
    """Some clips of one split.

    Attributes
    ----------
    split : str
        train, tune, test or another role.
    procedures, machines : tuple of str
        Clips take them in turn, every pair as often as the others.
    seeds : tuple of int
        Half-open range; one clip a seed, and a seed is a subject.
    frames : int
        Frames of a clip.
    every : int
        Keeps every n-th simulated frame, so that a clip covers more time.
    sizes_px : tuple of (width, height) [px]
        One is drawn for each clip.
    furniture : bool
        Rulers, text and margins as on machine screens.
    needle_free, late : float
        Share of clips without a needle, and share whose needle is still outside at the first frame.
    hard : float or None
        Share of the clips with a needle whose needle lies steep to the beam or off the image plane; None takes what
        comes.
    """

    split: Slug
    procedures: Annotated[tuple[str, ...], Field(strict=False, min_length=1)]
    machines: Annotated[tuple[str, ...], Field(strict=False, min_length=1)]
    seeds: Annotated[tuple[int, int], Field(strict=False)]
    frames: Annotated[int, Field(ge=1, le=10_000)]
    every: Annotated[int, Field(ge=1, le=100)] = 1
    sizes_px: Annotated[tuple[Annotated[tuple[Pixels, Pixels], Field(strict=False)], ...],
                        Field(strict=False, min_length=1)]
    furniture: bool = False
    needle_free: Share = 0.12
    late: Share = 0.25
    hard: Share | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Part:
        if not 0 <= self.seeds[0] < self.seeds[1] <= HARD_STRIDE:
            raise ValueError(f"its seeds must be a half-open range between 0 and {HARD_STRIDE}")
        for name in self.procedures:
            if name not in PROCEDURES:
                raise ValueError(f'there is no procedure "{name}"; there are {", ".join(PROCEDURES)}')
        for name in self.machines:
            if name not in PRESETS:
                raise ValueError(f'there is no machine "{name}"; there are {", ".join(PRESETS)}')
        return self


class DatasetSpec(_Strict):
    """A whole dataset.

    Attributes
    ----------
    name : str
    description, license : str
    label_set : str
        Label set that the categories come from.
    part : tuple of Part
    """

    name: Slug
    description: Words
    license: Words = "CC0-1.0"
    label_set: Slug = "needle"
    part: Annotated[tuple[Part, ...], Field(strict=False, min_length=1)]

    @model_validator(mode="after")
    def _seeds_apart(self) -> DatasetSpec:
        ranges = sorted(part.seeds for part in self.part)
        for a, b in zip(ranges, ranges[1:]):
            if b[0] < a[1]:
                twice = f"{b[0]} to {min(a[1], b[1]) - 1}"
                raise ValueError(f"the seeds {twice} stand in two parts; a subject has one split")
        return self

    def digest(self) -> str:
        """Return a hash over everything that decides what is built."""
        text = json.dumps(self.model_dump(mode="json"), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class ClipPlan:
    """One clip to simulate.

    Attributes
    ----------
    number : int
        Place in the dataset, from 0; names its folder.
    needle : bool
    start : "outside" or "inside"
        Where the needle is at the first frame.
    hard : bool or None
        What its geometry has to be; None takes what comes.
    """

    number: int
    split: str
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


def read_spec(path: Path) -> DatasetSpec:
    """Read a spec.

    Raises
    ------
    UserError
        The file cannot be read, is no TOML, or does not hold.
    """
    try:
        table = tomllib.loads(read_text(path))
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"{path} is not valid TOML: {error}.") from error
    try:
        return DatasetSpec.model_validate(table)
    except ValidationError as error:
        raise UserError(f"{path} needs a change: {plain_validation(error)}.") from error


def plan_clips(spec: DatasetSpec) -> tuple[ClipPlan, ...]:
    """Return the clips of a spec in their order; the same for the same spec."""
    plans: list[ClipPlan] = []
    for part in spec.part:
        seeds = range(*part.seeds)
        free = _first_share(seeds, part.needle_free, "needle-free")
        with_needle = [seed for seed in seeds if seed not in free]
        late = _first_share(with_needle, part.late, "late")
        hard = None if part.hard is None else _first_share(with_needle, part.hard, "hard")
        # Machines change fastest, so that each machine sees each procedure equally often.
        pairs = [(procedure, machine) for procedure in part.procedures for machine in part.machines]
        for rank, seed in enumerate(seeds):
            procedure, machine = pairs[rank % len(pairs)]
            plans.append(
                ClipPlan(
                    number=len(plans),
                    split=part.split,
                    procedure=procedure,
                    machine=machine,
                    seed=seed,
                    frames=part.frames,
                    every=part.every,
                    size_px=part.sizes_px[_mixed(seed, "size") % len(part.sizes_px)],
                    furniture=part.furniture,
                    needle=seed not in free,
                    start="outside" if seed in late else "inside",
                    hard=None if hard is None or seed in free else seed in hard,
                )
            )
    return tuple(plans)


def _mixed(seed: int, purpose: str) -> int:
    """Return a number that depends on seed and purpose alone, and on neither in a regular way."""
    return int.from_bytes(hashlib.sha256(f"{purpose}/{seed}".encode()).digest()[:8], "big")


def _first_share(seeds: Sequence[int], share: float, purpose: str) -> frozenset[int]:
    """Choose a share of seeds, exactly as many as rounding gives."""
    return frozenset(sorted(seeds, key=lambda seed: _mixed(seed, purpose))[: round(share * len(seeds))])
