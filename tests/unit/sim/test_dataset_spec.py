"""Dataset specs: what they refuse, and the clips that follow from them."""

from __future__ import annotations

from pathlib import Path

import pytest

from puncta.core.errors import UserError
from puncta.formats.dataset_specs import KEPT_MACHINES, SEED_END, VIEWS_OF
from puncta.formats.schemas import load_schema
from puncta.formats.validate import validate
from puncta.paths import resources_dir
from puncta.sim.anatomy import options
from puncta.sim.dataset_digest import read_digests
from puncta.sim.dataset_spec import Part, plan_clips, read_spec, spec_from_table
from puncta.sim.machines import PRESETS
from puncta.sim.subject import PROCEDURES

SPEC = """
name = "tiny"
description = "Three splits."

[[part]]
split = "train"
procedures = ["breast", "nerve"]
machines = ["A", "B"]
seeds = [100, 160]
frames = 2
sizes_px = [[96, 64], [64, 64]]
needle_free = 0.2
late = 0.5

[[part]]
split = "test"
procedures = ["vessel"]
machines = ["E"]
seeds = [20, 21]
frames = 2
sizes_px = [[64, 64]]

[[part]]
split = "test"
kind = "composite"
folders = ["stills"]
seeds = [0, 4]
frames = 30
sizes_px = [[64, 64]]
needle_free = 1.0
"""


def spec_file(folder: Path, text: str = SPEC) -> Path:
    path = folder / "spec.toml"
    path.write_text(text)
    return path


def test_plans_keep_shares_and_repeat(tmp_path: Path):
    text = SPEC.replace("late = 0.5", "late = 0.5\nhard = 0.25\nfurniture = 0.5")
    spec = read_spec(spec_file(tmp_path, text))
    plans = [p for p in plan_clips(spec) if p.split == "train"]
    assert plan_clips(spec) == plan_clips(read_spec(spec_file(tmp_path, text)))
    assert sum(not p.needle for p in plans) == 12
    with_needle = [p for p in plans if p.needle]
    assert sum(p.start == "outside" for p in with_needle) == 24
    assert sum(p.hard is True for p in with_needle) == 12
    assert sum(p.furniture for p in plans) == 30
    assert all(p.hard is None for p in plans if not p.needle)
    assert {(p.procedure, p.machine) for p in plans} == {(a, b) for a in ("breast", "nerve") for b in "AB"}
    assert len({p.size_px for p in plans}) == 2


def test_difficulty_and_flags_and_wishes_reach_the_clips(tmp_path: Path):
    text = """
name = "lp"
description = "Infants."
label_set = "infant-lp"
[[part]]
split = "test"
procedures = ["infant-lp"]
machines = ["B"]
seeds = [0, 40]
frames = 3
sizes_px = [[64, 64]]
views = ["longitudinal", "transverse"]
conditions = ["clear", "haematoma"]
levels = ["L3-L4"]
weights_kg = [3, 4]
approaches = ["in-plane"]
flags = true
difficulty = "hard"
"""
    plans = plan_clips(read_spec(spec_file(tmp_path, text)))
    assert {p.options["view"] for p in plans} == {"longitudinal", "transverse"}
    assert {p.options["condition"] for p in plans} == {"clear", "haematoma"}
    assert all(3 <= p.options["weight_kg"] <= 4 and p.options["level"] == "L3-L4" for p in plans)
    assert all(p.flags and p.approach == "in-plane" for p in plans)
    assert all(p.hard is True for p in plans if p.needle)
    for plan in plans:
        options.SubjectOptions(**plan.options).check(plan.procedure)


def test_wishes_that_a_procedure_does_not_have_are_left_to_its_seed(tmp_path: Path):
    text = SPEC.replace("needle_free = 0.2", 'views = ["radial", "short-axis"]\nlesions = ["cyst"]\nneedle_free = 0.2')
    plans = [p for p in plan_clips(read_spec(spec_file(tmp_path, text))) if p.split == "train"]
    assert all(dict(p.options) == {"view": "radial", "lesion": "cyst"} for p in plans if p.procedure == "breast")
    assert all(dict(p.options) == {"view": "short-axis"} for p in plans if p.procedure == "nerve")


def test_every_key_of_the_schema_is_a_member_of_the_code_and_back():
    known = set(load_schema("dataset-spec")["properties"]["part"]["items"]["properties"])
    assert known == set(Part.__dataclass_fields__) | {"difficulty", "stills"}


def test_names_of_the_schema_are_those_of_the_simulator():
    part = load_schema("dataset-spec")["properties"]["part"]["items"]["properties"]
    assert tuple(part["procedures"]["items"]["enum"]) == PROCEDURES
    assert part["machines"]["items"]["enum"] == list(PRESETS)
    assert set(part["views"]["items"]["enum"]) == {view for views in options.VIEWS.values() for view in views}
    assert options.VIEWS == VIEWS_OF
    assert tuple(part["conditions"]["items"]["enum"]) == options.CONDITIONS
    assert tuple(part["levels"]["items"]["enum"]) == options.LEVELS
    assert tuple(part["lesions"]["items"]["enum"]) == options.LESIONS
    weight = part["weights_kg"]["items"]
    assert (weight["minimum"], weight["maximum"]) == options.WEIGHT_KG
    assert set(KEPT_MACHINES) < set(PRESETS)
    assert part["seeds"]["items"]["maximum"] == SEED_END


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('machines = ["E"]', 'machines = ["Z"]', 'there is no machine "Z"; there are A, B, C, D, E, F'),
        ('machines = ["E"]', 'machines = ["e"]', 'there is no machine "e"; the nearest is "E"'),
        ('procedures = ["vessel"]', 'procedures = ["vesel"]', 'no procedure "vesel"; the nearest is "vessel"'),
        ('procedures = ["vessel"]', 'procedures = ["xyz"]', 'no procedure "xyz"; there are breast, nerve'),
        ("frames = 30", "frame = 30", 'part 3 has a key "frame" that is not known; the nearest is "frames"'),
        ('name = "tiny"', 'name = "tiny"\nlisense = "x"', 'a key "lisense" that is not known; the nearest is "lic'),
        ('name = "tiny"', 'name = "tiny"\nlabel_set = "infantlp"', 'no label set "infantlp"; the nearest is "infant-'),
        ('name = "tiny"', 'name = "tiny"\nlabel_set = "xyz"', 'no label set "xyz"; there are breast-biopsy, infant-lp'),
        ('kind = "composite"', 'kind = "compost"', 'no kind "compost"; the nearest is "composite"'),
        ("late = 0.5", 'difficulty = "harder"', 'no difficulty "harder"; the nearest is "hard"'),
        ("late = 0.5", 'difficulty = "hard"\nhard = 0.5', '"hard" and "difficulty" both'),
        ("late = 0.5", 'views = ["long-axis"]', 'view "long-axis" does not exist in breast, nerve; there are radial'),
        ("late = 0.5", 'views = ["short-axis"]', '"views" names none that breast has; add radial, or give breast its'),
        ("late = 0.5", 'conditions = ["bone"]', '"conditions" needs procedures = ["infant-lp"]'),
        ("late = 0.5", "flags = true", "flags = true needs procedures"),
        ("late = 0.5", 'stills = "background"', '"stills" does not apply to a simulated part'),
        ('folders = ["stills"]', 'machines = ["A"]', '"machines" does not apply to a composite part'),
        ('folders = ["stills"]', 'stills = "background"', 'the split "test" takes stills = "false-alarm"'),
        ('folders = ["stills"]', 'folders = ["../stills"]', "is not a folder inside the one given by --stills"),
        ('folders = ["stills"]', 'folders = ["/stills"]', "is not a folder inside the one given by --stills"),
        ('machines = ["A", "B"]', 'machines = ["A", "D"]', 'the split "train" takes no machine D'),
        ('machines = ["A", "B"]\n', "", '"machines" is missing'),
        ("seeds = [20, 21]", "seeds = [159, 170]", "the seeds 159 to 159 stand in parts 1 and 2"),
        ("seeds = [20, 21]", "seeds = [21, 20]", "no half-open range"),
        ("seeds = [20, 21]", "seeds = [20]", "has 1 entries, fewer than 2"),
        ("sizes_px = [[96, 64], [64, 64]]", "sizes_px = [[1024, 64]]", "cannot hold a probe's field"),
        ("sizes_px = [[96, 64], [64, 64]]", "sizes_px = [[96, 32]]", "part 1, sizes_px, entry 1, entry 2: 32 is less"),
        ("frames = 30", "frames = 0", "part 3, frames: 0 is less than 1"),
        ("needle_free = 1.0", "needle_free = 1.5", "1.5 is more than 1"),
        ('description = "Three splits."', "", "'description' is missing"),
        ("[[part]]", "[[part", "is not TOML"),
    ],
)
def test_a_wrong_spec_is_refused_in_one_sentence(tmp_path: Path, old: str, new: str, words: str):
    assert old in SPEC
    path = spec_file(tmp_path, SPEC.replace(old, new, 1))
    with pytest.raises(UserError) as caught:
        read_spec(path)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_doctor_finds_the_same_faults(tmp_path: Path):
    assert validate(spec_file(tmp_path)).problems == ()
    report = validate(spec_file(tmp_path, SPEC.replace('machines = ["A", "B"]', 'machines = ["A", "D"]')))
    assert report.kind == "dataset-spec"
    assert report.problems == (
        'part 1: the split "train" takes no machine D; machines D and E are kept for tests',
    )


def test_training_parts_of_two_splits_share_the_background_half_but_two_tests_may_not(tmp_path: Path):
    part = {"kind": "composite", "seeds": [0, 2], "frames": 2, "sizes_px": [[64, 64]]}
    table = {"name": "a", "description": "b", "part": [{"split": "train", **part}, {"split": "tune", **part}]}
    assert [p.stills for p in spec_from_table(table).part] == ["background", "background"]
    text = SPEC + '\n[[part]]\nsplit = "exam"\nkind = "composite"\nseeds = [9, 10]\nframes = 2\nsizes_px = [[64, 64]]\n'
    with pytest.raises(UserError, match='take the same stills for the splits "test" and "exam"'):
        read_spec(spec_file(tmp_path, text))


def test_shipped_specs_never_share_a_subject_between_training_and_testing():
    ranges: dict[str, list[tuple[set[str], tuple[int, int]]]] = {}
    for path in sorted((resources_dir() / "datasets").glob("*.toml")):
        for part in read_spec(path).part:
            if part.kind == "simulated":
                role = "train" if part.split in ("train", "tune", "more") else "test"
                ranges.setdefault(role, []).append((set(part.procedures), part.seeds))
                assert role == "test" or not set(part.machines) & set(KEPT_MACHINES)
    assert set(ranges) == {"train", "test"}
    # A subject is a procedure with a seed: an infant's spine is no breast, whatever their numbers.
    for procedures, learnt in ranges["train"]:
        for others, judged in ranges["test"]:
            assert not procedures & others or learnt[1] <= judged[0] or judged[1] <= learnt[0]


def test_the_digest_key_does_not_change_what_is_built(tmp_path: Path):
    plain = read_spec(spec_file(tmp_path))
    signed = read_spec(spec_file(tmp_path, f'sha256 = "{"0" * 64}"' + SPEC))
    assert signed.sha256 == "0" * 64
    assert signed.digest() == plain.digest()
    assert read_spec(spec_file(tmp_path, SPEC.replace("frames = 30", "frames = 31"))).digest() != plain.digest()


def test_recorded_digests_belong_to_the_specs_as_they_are():
    path = resources_dir() / "datasets" / "digests.json"
    if not path.is_file():
        pytest.skip("the digests of the sets that ship are not recorded yet")
    for name, kept in read_digests(path).items():
        spec = read_spec(path.with_name(f"{name}.toml"))
        plans = plan_clips(spec)
        assert kept["spec_sha256"] == spec.digest(), name
        assert (kept["clips"], kept["frames"]) == (len(plans), sum(plan.frames for plan in plans)), name
        assert ("stills_sha256" in kept) == spec.composite, name
