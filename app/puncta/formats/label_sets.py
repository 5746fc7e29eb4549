"""Label sets: which things and flags can be labelled, by name. Datasets name the one they use."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from puncta import paths
from puncta.core.errors import UserError
from puncta.formats import schemas
from puncta.formats.jsontext import read_json

BESIDE_DATASET = "label-set.json"
"""A dataset folder may carry its own label set under this name."""


@dataclass(frozen=True, slots=True)
class LabelCategory:
    """A thing with a place in the picture; ``shape`` is what a person draws: box, line, mask or point."""

    id: int
    name: str
    title: str
    shape: str
    keypoints: tuple[str, ...] = ()
    colour: str = ""
    meaning: str = ""


@dataclass(frozen=True, slots=True)
class LabelFlag:
    """A property of the whole frame; without ``grades`` it is absent or present."""

    name: str
    title: str
    grades: tuple[str, ...] = ()
    key: str = ""
    colour: str = ""
    meaning: str = ""

    @property
    def highest(self) -> int:
        """Largest value the flag may take."""
        return len(self.grades) - 1 if self.grades else 1


@dataclass(frozen=True, slots=True)
class LabelPhase:
    """A phase of the procedure; a frame has one or none."""

    name: str
    title: str
    key: str = ""
    colour: str = ""
    meaning: str = ""


@dataclass(frozen=True, slots=True)
class LabelSet:
    """Categories, flags and phases that belong together, and how to label them.

    Attributes
    ----------
    protocol : tuple of str
        The protocol sheet: one rule an entry, in the order in which a labeller needs them.
    """

    id: str
    title: str
    categories: tuple[LabelCategory, ...]
    flags: tuple[LabelFlag, ...]
    description: str = ""
    phases: tuple[LabelPhase, ...] = ()
    protocol: tuple[str, ...] = ()

    def category(self, name: str) -> LabelCategory | None:
        """Return a category by name, or None."""
        return next((c for c in self.categories if c.name == name), None)

    def flag(self, name: str) -> LabelFlag | None:
        """Return a flag by name, or None."""
        return next((f for f in self.flags if f.name == name), None)

    def phase(self, name: str) -> LabelPhase | None:
        """Return a phase by name, or None."""
        return next((p for p in self.phases if p.name == name), None)


def label_sets_dir() -> Path:
    """Return the folder of the label sets that ship."""
    return paths.resources_dir() / "label_sets"


def shipped_label_sets() -> list[str]:
    """Return the names of the label sets that ship, sorted."""
    return sorted(path.stem for path in label_sets_dir().glob("*.json"))


def label_set_from_json(document: Any, place: str = "label set") -> LabelSet:
    """Return the typed label set of parsed JSON; raises UserError where it does not fit the schema."""
    problems = schemas.check("label-set", document) or doubled_entries(document)
    if problems:
        raise UserError(f"{place}: {problems[0]}.")
    return LabelSet(
        document["id"], document["title"],
        tuple(LabelCategory(**{**c, "keypoints": tuple(c.get("keypoints", ()))}) for c in document["categories"]),
        tuple(LabelFlag(**{**f, "grades": tuple(f.get("grades", ()))}) for f in document["flags"]),
        document.get("description", ""),
        tuple(LabelPhase(**p) for p in document.get("phases", ())),
        tuple(document.get("protocol", ())),
    )


def doubled_entries(document: Any) -> list[str]:
    """Return the names, keys and numbers that stand twice in a label set that fits the schema."""
    parts = {part: document.get(part, []) for part in ("categories", "flags", "phases")}
    problems = []
    for part, entries in parts.items():
        for member, words in (("name", ""), ("id", "the id "), ("key", "the key ")):
            values = [entry[member] for entry in entries if member in entry]
            twice = sorted({value for value in values if values.count(value) > 1})
            problems += [f"{part}: {words}'{value}' stands twice" for value in twice]
    names = {entry["name"] for entry in parts["categories"]}
    problems += [f"flags: '{f['name']}' is a category too" for f in parts["flags"] if f["name"] in names]
    return problems


def read_label_set(path: Path) -> LabelSet:
    """Read and check a label-set file; raises UserError."""
    return label_set_from_json(read_json(path), str(path))


def find_label_set(set_id: str, dataset_folder: Path | None = None) -> LabelSet | None:
    """Return the label set a dataset names: the one it carries, else one that ships; None where there is none.

    Raises
    ------
    UserError
        A file is there and does not fit.
    """
    if dataset_folder is not None and (Path(dataset_folder) / BESIDE_DATASET).is_file():
        carried = read_label_set(Path(dataset_folder) / BESIDE_DATASET)
        if carried.id == set_id:
            return carried
    shipped = label_sets_dir() / f"{set_id}.json"
    inside = shipped.parent == label_sets_dir() and bool(set_id)
    return read_label_set(shipped) if inside and shipped.is_file() else None
