"""What a dataset spec (TOML) must hold to: its schema, names with their nearest neighbours, and rules across parts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from itertools import combinations
from typing import Any

from puncta.formats import schemas
from puncta.formats.label_sets import shipped_label_sets

VIEWS_OF: dict[str, tuple[str, ...]] = {
    "breast": ("radial",),
    "nerve": ("short-axis",),
    "vessel": ("short-axis", "long-axis"),
    "infant-lp": ("longitudinal", "transverse"),
}
"""Views that each procedure has."""
TRAINING_SPLITS = ("train", "tune")
"""Splits that a model is made with; all others judge it."""
KEPT_MACHINES = ("D", "E")
"""Machines that only tests may show."""
SEED_END = 1_000_003
"""One past the highest seed."""
MOST_STRETCH = 4.0
"""A picture is at most so many times as wide as high, or as high as wide: no probe's field is longer."""
SIMULATED_KEYS = ("procedures", "machines", "views", "conditions", "levels", "lesions", "weights_kg", "flags",
                  "vanish")
COMPOSITE_KEYS = ("stills", "folders")
_SINGULAR = {"procedures": "procedure", "machines": "machine", "views": "view", "approaches": "approach",
             "conditions": "condition", "levels": "level", "lesions": "lesion", "kind": "kind",
             "difficulty": "difficulty", "stills": "half of the stills"}


def check_dataset_spec(table: Mapping[str, Any]) -> list[str]:
    """Return what does not fit, one plain sentence each with its place; empty means that a dataset can be built."""
    schema = schemas.load_schema("dataset-spec")
    problems = list(_unknown_keys(table, schema["properties"], "the spec"))
    parts = [p for p in table.get("part", ()) if isinstance(p, Mapping)] if isinstance(table.get("part"), list) else []
    known = schema["properties"]["part"]["items"]["properties"]
    for number, part in enumerate(parts, start=1):
        problems += _unknown_keys(part, known, f"part {number}")
        problems += _unknown_words(part, known, f"part {number}")
    problems += _unknown_label_set(table.get("label_set"))
    problems = problems or [schemas.in_words(text) for text in schemas.check("dataset-spec", table)]
    if problems:
        return problems
    label_set = table.get("label_set", "needle")
    for number, part in enumerate(parts, start=1):
        problems += [f"part {number}: {text}" for text in _part_problems(part, label_set)]
    return problems or list(_overlaps(parts))


def nearest(word: str, choices: tuple[str, ...] | list[str]) -> str | None:
    """Return the choice that a mistyped word is nearest to, whatever its case; None where nothing is near."""
    folded = {choice.casefold(): choice for choice in choices}
    if word.casefold() in folded:
        return folded[word.casefold()]
    close = get_close_matches(word.casefold(), list(folded), 1, 0.5)
    return folded[close[0]] if close else None


def _unknown_keys(table: Mapping[str, Any], known: Mapping[str, Any], place: str) -> Iterator[str]:
    for key in table:
        if key not in known:
            near = nearest(key, list(known))
            hint = f'the nearest is "{near}"' if near else f"there are {', '.join(known)}"
            yield f'{place} has a key "{key}" that is not known; {hint}'


def _unknown_words(part: Mapping[str, Any], known: Mapping[str, Any], place: str) -> Iterator[str]:
    """Names that are none of those a key takes. Values of a wrong type are the schema's business."""
    for key, value in part.items():
        rule = known.get(key, {})
        choices = rule.get("enum") or rule.get("items", {}).get("enum")
        if not choices:
            continue
        for word in value if isinstance(value, list) else [value]:
            if isinstance(word, str) and word not in choices:
                near = nearest(word, choices)
                hint = f'the nearest is "{near}"' if near else f"there are {', '.join(choices)}"
                yield f'{place}: there is no {_SINGULAR[key]} "{word}"; {hint}'


def _unknown_label_set(name: object) -> Iterator[str]:
    """A label set that does not ship: the simulator knows none of its names."""
    known = shipped_label_sets()
    if isinstance(name, str) and name not in known:
        near = nearest(name, known)
        hint = f'the nearest is "{near}"' if near else f"there are {', '.join(known)}"
        yield f'there is no label set "{name}"; {hint}'


def _part_problems(part: Mapping[str, Any], label_set: str) -> Iterator[str]:
    first, end = part["seeds"]
    if not first < end:
        yield f"its seeds {first} to {end} are no half-open range that counts up"
    for width, height in part["sizes_px"]:
        if max(width, height) > MOST_STRETCH * min(width, height):
            yield (f"a picture of {width} x {height} pixels cannot hold a probe's field; "
                   f"keep one side within {MOST_STRETCH:g} times the other")
    if "hard" in part and "difficulty" in part:
        yield '"hard" and "difficulty" both say how hard its clips are; leave one out'
    composite = part.get("kind", "simulated") == "composite"
    unfit = [key for key in (SIMULATED_KEYS if composite else COMPOSITE_KEYS) if key in part]
    if unfit:
        yield f'"{unfit[0]}" does not apply to a {part.get("kind", "simulated")} part; leave it out'
    elif composite:
        yield from _composite_problems(part, label_set)
    else:
        yield from _simulated_problems(part, label_set)


def _composite_problems(part: Mapping[str, Any], label_set: str) -> Iterator[str]:
    wanted = stills_half(part["split"])
    if part.get("stills", wanted) != wanted:
        yield (f'the split "{part["split"]}" takes stills = "{wanted}"; '
               "models learn from the background half and are judged on the false-alarm half")
    if label_set != "needle":
        yield f'real stills have no flags of the label set "{label_set}"; use label_set = "needle"'


def _simulated_problems(part: Mapping[str, Any], label_set: str) -> Iterator[str]:
    missing = [key for key in ("procedures", "machines") if key not in part]
    if missing:
        yield f'"{missing[0]}" is missing'
        return
    kept = [name for name in part["machines"] if name in KEPT_MACHINES]
    if kept and part["split"] in TRAINING_SPLITS:
        yield (f'the split "{part["split"]}" takes no machine {kept[0]}; machines {" and ".join(KEPT_MACHINES)} are '
               "kept for tests")
    procedures = part["procedures"]
    views = sorted({view for name in procedures for view in VIEWS_OF[name]})
    for view in part.get("views", ()):
        if view not in views:
            yield f'the view "{view}" does not exist in {", ".join(procedures)}; there are {", ".join(views)}'
    for name in procedures if "views" in part else ():
        if not set(VIEWS_OF[name]) & set(part["views"]) and set(part["views"]) <= set(views):
            yield f'"views" names none that {name} has; add {" or ".join(VIEWS_OF[name])}, or give {name} its own part'
    for key, owner in (("conditions", "infant-lp"), ("levels", "infant-lp"), ("weights_kg", "infant-lp"),
                       ("lesions", "breast")):
        if key in part and owner not in procedures:
            yield f'"{key}" needs procedures = ["{owner}"]'
    low, high = part.get("weights_kg", (2, 8))
    if low > high:
        yield f"its weights {low:g} to {high:g} kg count down"
    if part.get("flags") and set(procedures) != {"infant-lp"}:
        yield 'flags = true needs procedures = ["infant-lp"]'
    if "vanish" in part and not part["vanish"][0] < part["vanish"][1] <= part["frames"]:
        first, end = part["vanish"]
        yield f"its needles vanish on frames {first} to {end}, no half-open range of its {part['frames']} frames"
    if part.get("flags", False) != (label_set == "infant-lp"):
        yield 'flags = true and label_set = "infant-lp" go together; give both or none'


def stills_half(split: str) -> str:
    """Return the half of the real stills that a split takes."""
    return "background" if split in TRAINING_SPLITS else "false-alarm"


def _overlaps(parts: list[Mapping[str, Any]]) -> Iterator[str]:
    """Subjects that would stand in two splits."""
    for (a, one), (b, other) in combinations(enumerate(parts, start=1), 2):
        kind = one.get("kind", "simulated")
        if one["split"] == other["split"] or kind != other.get("kind", "simulated"):
            continue
        if kind == "composite":
            if not {one["split"], other["split"]} & set(TRAINING_SPLITS):
                yield (f'parts {a} and {b} take the same stills for the splits "{one["split"]}" and '
                       f'"{other["split"]}"; a subject has one split')
            continue
        first, last = max(one["seeds"][0], other["seeds"][0]), min(one["seeds"][1], other["seeds"][1]) - 1
        if first <= last:
            yield f"the seeds {first} to {last} stand in parts {a} and {b}; a subject has one split"
