"""Formats are contracts: each has a schema and a golden sample, agrees with the code, refuses what is broken."""

from __future__ import annotations

import copy
import json
import re
import tomllib
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from puncta.core.flags import Flag
from puncta.core.frame import CalibrationOrigin
from puncta.core.results import Certainty
from puncta.formats import schemas
from puncta.formats.dataset import Review, Visibility
from puncta.formats.evaluation import METRIC_NAMES
from puncta.formats.progress import TaskState
from puncta.formats.validate import TITLES, validate

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "formats"

# Schema -> golden sample that `validate` takes, and the part of it that the schema describes.
SAMPLES = {
    "frame-key": "frame-key/frame-key.json",
    "results": "results/results.jsonl",
    "dataset": "dataset",
    "coco": "coco",
    "dataset-spec": "dataset-spec/made.toml",
    "label-set": "label-set/label-set.json",
    "truth": "truth",
    "truth-line": "truth/truth.jsonl",
    "session": "session",
    "session-event": "session/events.jsonl",
    "experiment": "experiment/made.toml",
    "study": "study/study.toml",
    "study-mask": "study-mask/study.toml",
    "study-flags": "study-flags/study.toml",
    "training-folder": "training-folder",
    "training-log": "training-folder/log.jsonl",
    "progress": "progress/progress.jsonl",
    "evaluation": "evaluation/evaluation.json",
    "plugin-manifest": "plugin-manifest/plugin.toml",
    "model-registry": "model-registry/registry.toml",
    "promotions": "promotions/promoted.json",
    "comparison": "comparison/comparison.json",
    "bench": "bench/bench.json",
    "moves": "moves/moves.toml",
    "attempt": "attempt/attempt.json",
    "case-pack": "case-pack/made.puncta",
}
HEADS = {"dataset": "dataset.json", "coco": "dataset.json", "truth": "truth.json", "session": "session.json",
         "training-folder": "training.json"}


def golden_document(kind: str) -> Any:
    """The sample as parsed values; the first line of a JSON-lines file."""
    path = GOLDEN / SAMPLES[kind]
    if path.is_dir():
        path = path / HEADS[kind]
    if path.suffix == ".toml":
        return tomllib.loads(path.read_text(encoding="utf-8"))
    if path.suffix == ".puncta":
        with zipfile.ZipFile(path) as archive:
            return json.loads(archive.read("manifest.json"))
    text = path.read_text(encoding="utf-8")
    return json.loads(text.splitlines()[0] if path.suffix == ".jsonl" else text)


def test_every_schema_has_a_sample_and_a_title() -> None:
    assert set(schemas.schema_kinds()) == set(SAMPLES) == set(TITLES)


@pytest.mark.parametrize("kind", sorted(SAMPLES))
def test_schema_is_sound_and_named(kind: str) -> None:
    schema = schemas.load_schema(kind)
    Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["$id"] == f"urn:puncta:schema:{kind}:1"
    assert schema["title"] and schema["description"].endswith(".")


@pytest.mark.parametrize("kind", sorted(SAMPLES))
def test_golden_sample_is_valid(kind: str) -> None:
    report = validate(GOLDEN / SAMPLES[kind])
    assert report.problems == ()
    assert report.kind == kind
    # A stranger's validator, without our words, comes to the same end.
    assert list(Draft202012Validator(schemas.load_schema(kind)).iter_errors(golden_document(kind))) == []


def test_samples_are_made_by_their_script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib.util

    monkeypatch.syspath_prepend(GOLDEN)  # its parts lie beside it, as when it is run
    spec = importlib.util.spec_from_file_location("make_samples", GOLDEN / "make_samples.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.main(tmp_path)
    made = {p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*") if p.is_file()}
    kept = {p.relative_to(GOLDEN).as_posix() for p in GOLDEN.rglob("*") if p.is_file() and p.parent != GOLDEN}
    assert made == {name for name in kept if "__pycache__" not in name}
    for name in made:
        if not name.endswith((".png", ".puncta")):  # compressed bytes depend on the library's version
            assert (tmp_path / name).read_bytes() == (GOLDEN / name).read_bytes(), name


def put(place: str, value: Any) -> Callable[[Any], None]:
    """Set a member, e.g. ``images[0].review``."""

    def change(document: Any) -> None:
        parts = [int(p) if p.isdigit() else p for p in re.findall(r"[^.\[\]]+", place)]
        for part in parts[:-1]:
            document = document[part]
        document[parts[-1]] = value

    return change


def drop(place: str) -> Callable[[Any], None]:
    """Take a member away."""

    def change(document: Any) -> None:
        parts = [int(p) if p.isdigit() else p for p in re.findall(r"[^.\[\]]+", place)]
        for part in parts[:-1]:
            document = document[part]
        del document[parts[-1]]

    return change


SHA_WORDS = "64 hexadecimal digits in lower case"
D = "outputs.needle-tip"
H = "outputs.infant-lp[1]"
M = "outputs.infant-lp[2]"
BROKEN: list[tuple[str, Callable[[Any], None], str]] = [
    ("frame-key", put("index", -1), "index: -1 is less than 0"),
    ("frame-key", put("pts_ns", 0.5), "pts_ns: 0.5 is not a whole number"),
    ("frame-key", put("sha256", "ABC"), f"sha256: 'ABC' is not {SHA_WORDS}"),
    ("frame-key", put("frame_id", 7), "'frame_id' is not a member that this format knows"),
    ("frame-key", drop("stream"), "'stream' is missing"),
    ("results", put("key.sha256", None), f"key.sha256: null is not {SHA_WORDS}"),
    ("results", put("epoch", 3), "'epoch' is not a member that this format knows"),
    ("results", put(f"{D}[0].score", 1.2), f"{D}[0].score: 1.2 is more than 1"),
    ("results", put(f"{D}[0].score", float("nan")), f"{D}[0].score: NaN is not a finite number"),
    ("results", put(f"{D}[0].box", None), f"{D}[0].reason: null is not a reason, which a null box needs"),
    ("results", put(f"{D}[0].box", [1, 2, 3]), f"{D}[0].box: [1, 2, 3] is not [x0, y0, w, h] in pixels"),
    ("results", put(f"{D}[0].certainty", "maybe"), f"{D}[0].certainty: 'maybe' is not one of sure, uncertain, lost"),
    ("results", drop(f"{D}[1].angle_deg"), f"{D}[1]: 'angle_deg' is missing"),
    ("results", put(f"{D}[3].mask", 3), f"{D}[3].mask: 3 is not null or an object"),
    ("results", put("flags", ["uncalibrated", "odd"]), "flags[1]: 'odd' is not one of " + ", ".join(Flag)),
    ("results", put("timings_ns.paint", -1), "timings_ns.paint: -1 is less than 0"),
    ("results", put("carried", {"infant-lp": -1}), "carried.infant-lp: -1 is less than 0"),
    ("results", put(f"{H}.values", None), f"{H}.reason: null is not a reason, which null values need"),
    ("results", put(f"{H}.values[0]", 1.5), f"{H}.values[0]: 1.5 is more than 1"),
    ("results", put(f"{M}.value", None), f"{M}.reason: null is not a reason, which a null value needs"),
    ("dataset", put("images[2].review", "done"),
     "images[2].review: 'done' is not one of unseen, proposed, confirmed, bulk"),
    ("dataset", drop("images[0].labelled"), "images[0]: 'labelled' is missing"),
    ("dataset", put("images[0].flags.csf", True), "images[0].flags.csf: true is not 0, 1, a grade or null"),
    ("dataset", put("images[1].region", [0, 0, -3, 2]), "images[1].region[2]: -3 is less than 0"),
    ("dataset", put("images[1].file_name", "/data/a.png"),
     "images[1].file_name: '/data/a.png' is not a relative path with forward slashes that stays inside its folder"),
    ("dataset", put("images[1].file_name", "../a.png"),
     "images[1].file_name: '../a.png' is not a relative path with forward slashes that stays inside its folder"),
    ("dataset", put("annotations[0].visibility", "hidden"),
     "annotations[0].visibility: 'hidden' is not one of clear, uncertain, out_of_plane, shadowed, absent"),
    ("dataset", put("annotations[0].bbox", None),
     "annotations[0].bbox: null is not [x0, y0, w, h], which visibility clear or uncertain needs"),
    ("dataset", put("annotations[0].keypoints", [1, 2, 2]),
     "annotations[0].keypoints: [1, 2, 2] is not [tip x, y, v, entry x, y, v]"),
    ("dataset", put("videos[0].mm_per_px", 0),
     "videos[0].mm_per_px: 0 is not more than 0"),
    ("dataset", put("videos[0].mm_per_px", "0.1"),
     "videos[0].mm_per_px: '0.1' is not a number above 0, [x, y] or null (mm per pixel)"),
    ("dataset", drop("info.label_set"), "info: 'label_set' is missing"),
    ("coco", put("annotations[0].bbox", [1, 2]), "annotations[0].bbox: [1, 2] is not [x0, y0, w, h] in pixels"),
    ("coco", drop("images[0].width"), "images[0]: 'width' is missing"),
    ("label-set", put("categories[0].shape", "circle"),
     "categories[0].shape: 'circle' is not one of box, line, mask, point"),
    ("label-set", put("version", 2), "version: 2 is not 1"),
    ("label-set", put("flags[0].key", "F1"), "flags[0].key: 'F1' is not one digit or letter"),
    ("truth", put("simulated", False), "simulated: false is not true"),
    ("truth", drop("seed"), "'seed' is missing"),
    ("truth", put("calibration.origin", "guess"),
     "calibration.origin: 'guess' is not one of ultrasound region, file spacing, vendor, two-point ruler, simulated"),
    ("truth-line", put("needle.tip_px", [1]), "needle.tip_px: [1] is not [x, y] in pixels"),
    ("truth-line", drop("needle.entry_px"), "needle: 'entry_px' is missing"),
    ("truth-line", put("needle.depth_mm", float("inf")), "needle.depth_mm: Infinity is not a finite number"),
    ("session", put("streams", []), "streams: has 0 entries, fewer than 1"),
    ("session", put("created_utc", "yesterday"),
     "created_utc: 'yesterday' is not a UTC time such as 2026-01-31T12:00:00Z"),
    ("session", put("gaps[0].frames", 0), "gaps[0].frames: 0 is less than 1"),
    ("session", put("markers[0].kind", "note"),
     "markers[0].kind: 'note' is not one of bookmark, comment, target, event"),
    ("session", drop("calibration"), "'calibration' is missing"),
    ("session", put("streams[0].kept", "all"), "streams[0].kept: 'all' is not one of ultrasound region, whole picture"),
    ("session", put("streams[0].origin_px", [1]), "streams[0].origin_px: [1] is not [x, y] in whole pixels"),
    ("session", put("events", "../e.jsonl"),
     "events: '../e.jsonl' is not a relative path with forward slashes that stays inside its folder"),
    ("session", drop("accounting.lost"), "accounting: 'lost' is missing"),
    ("session-event", put("type", "thing"),
     "type: 'thing' is not one of transform, marker, gap, calibration, model, note"),
    ("session-event", drop("calibration"), "'calibration' is missing"),
    ("session-event", put("t_ns", 0.5), "t_ns: 0.5 is not a whole number"),
    ("experiment", put("training.batch", 0), "training.batch: 0 is less than 1"),
    ("experiment", drop("model.net"), "model: 'net' is missing"),
    ("experiment", put("trainig", {}), "'trainig' is not a member that this format knows"),
    ("study", put("runs", []), "runs: has 0 entries, fewer than 1"),
    ("study", put("runs[0]", "../plain.toml"),
     "runs[0]: '../plain.toml' is not the name of a TOML file beside this one"),
    ("study-mask", put("data.size", 32), "data.size: 32 is less than 64"),
    ("study-mask", drop("starter"), "'starter' is missing"),
    ("study-flags", put("runs[1].rank", 0), "runs[1].rank: 0 is less than 1"),
    ("study-flags", drop("model"), "'model' is missing"),
    ("study", drop("claims[0].at_least"), "claims[0]: 'at_least' is missing"),
    ("dataset-spec", put("part[0].frames", 0), "part[0].frames: 0 is less than 1"),
    ("dataset-spec", drop("part[0].seeds"), "part[0]: 'seeds' is missing"),
    ("dataset-spec", put("part[0].sizes_px[0]", [32, 64]), "part[0].sizes_px[0][0]: 32 is less than 64"),
    ("training-folder", put("state", "finished"), "state: 'finished' is not one of running, done, cancelled, failed"),
    ("training-folder", put("files.weights", "weights.pt"), "files.weights: 'weights.pt' is not null or an object"),
    ("training-folder", drop("config.seed"), "config: 'seed' is missing"),
    ("training-log", put("losses.focal", "low"), "losses.focal: 'low' is not a number or null"),
    ("training-log", drop("step"), "'step' is missing"),
    ("progress", put("state", "busy"), "state: 'busy' is not one of running, done, cancelled, failed"),
    ("progress", put("left_s", -1), "left_s: -1 is less than 0"),
    ("evaluation", put("metrics.tip_recall", {}), "metrics: 'tip_recall' is not a member that this format knows"),
    ("evaluation", put("metrics.miss_rate.value", 1.5), "metrics.miss_rate.value: 1.5 is more than 1"),
    ("evaluation", drop("per_machine.D.tip_within_2mm.n"), "per_machine.D.tip_within_2mm: 'n' is missing"),
    ("evaluation", put("prompt", "every mask"), "prompt: 'every mask' is not \"first_mask\", or left out"),
    ("evaluation", put("metrics.flag_f1_cord.value", 2.0), "metrics.flag_f1_cord.value: 2.0 is more than 1"),
    ("evaluation", put("metrics.flag_f2", 0.5), "metrics: 'flag_f2' is not a member that this format knows"),
    ("evaluation", put("model_sha256", ""), f"model_sha256: '' is not {SHA_WORDS}"),
    ("plugin-manifest", put("api", 2), "api: 2 is not 1"),
    ("plugin-manifest", put("id", "Made Plugin"),
     "id: 'Made Plugin' is not small letters, digits and single hyphens, as in \"needle-tip\""),
    ("plugin-manifest", put("results", []), "results: has 0 entries, fewer than 1"),
    ("plugin-manifest", drop("licence"), "'licence' is missing"),
    ("model-registry", put("models[0].input.layout", "HWC"), "models[0].input.layout: 'HWC' is not one of NCHW, NHWC"),
    ("model-registry", put("models[0].sha256", "0"), f"models[0].sha256: '0' is not {SHA_WORDS}"),
    ("model-registry", drop("models[0].card"), "models[0]: 'card' is missing"),
    ("promotions", put("plugins.needle-tip[1].model", "tip-made"),
     "plugins.needle-tip[1].model: 'tip-made' is not a model with its version, as in \"tip-ut 0.1\""),
    ("promotions", put("plugins.needle-tip[0].at_utc", "today"),
     "plugins.needle-tip[0].at_utc: 'today' is not a UTC time such as 2026-01-31T12:00:00Z"),
    ("promotions", drop("plugins.needle-tip[0].sha256"), "plugins.needle-tip[0]: 'sha256' is missing"),
    ("promotions", put("version", 2), "version: 2 is not 1"),
    ("comparison", put("figures[0].verdict", "good"),
     "figures[0].verdict: 'good' is not one of better, worse, no clear difference"),
    ("comparison", put("figures[0].unit", "%"),
     "figures[0].unit: '%' is not one of share, px, mm, deg, frames, 1/min, ms"),
    ("comparison", drop("per_machine.D[0].difference.low"), "per_machine.D[0].difference: 'low' is missing"),
    ("comparison", put("old.sha256", "0"), f"old.sha256: '0' is not {SHA_WORDS}"),
    ("bench", put("figures[0].value", "fast"), "figures[0].value: 'fast' is not a number or null"),
    ("bench", drop("machine.cpu"), "machine: 'cpu' is missing"),
    ("moves", put("move[0].do", "entr"),
     "move[0].do: 'entr' is not one of advance, angle, swing, entry, entry-across, slide, sweep, rock, tilt, twist, "
     "press, inject, fire, done"),
    ("moves", put("move[1].over_s", -1), "move[1].over_s: -1 is less than 0"),
    ("moves", put("move[0]", {"do": "done"}),
     "move[0]: {\"do\": \"done\"} is not a move with one of at_s and at_frame"),
    ("moves", drop("version"), "'version' is missing"),
    ("attempt", put("events[0].kind", "touch"),
     "events[0].kind: 'touch' is not one of contact, enter, pop, target, target-left, hit, through, fired, injected, "
     "withdrawn, done"),
    ("attempt", put("events[2].tip_mm", [1.0]), "events[2].tip_mm: [1.0] is not [x, y, z] in mm"),
    ("attempt", drop("summary.shots"), "summary: 'shots' is missing"),
    ("case-pack", put("contents[0].kind", "film"),
     "contents[0].kind: 'film' is not one of case, session, labels, comments, rubric, results, thumbnail"),
    ("case-pack", drop("deidentified"), "'deidentified' is missing"),
]


@pytest.mark.parametrize(("kind", "change", "sentence"), BROKEN, ids=[f"{k}: {s[:40]}" for k, _c, s in BROKEN])
def test_broken_variant_is_refused_in_one_sentence(kind: str, change: Callable[[Any], None], sentence: str) -> None:
    document = copy.deepcopy(golden_document(kind))
    change(document)
    assert schemas.check(kind, document) == [sentence]


def test_every_schema_refuses_something() -> None:
    assert {kind for kind, _change, _sentence in BROKEN} == set(SAMPLES)


def test_schemas_and_code_name_the_same_things() -> None:
    results = schemas.load_schema("results")
    assert results["properties"]["flags"]["items"]["enum"] == [str(f) for f in Flag]
    assert results["$defs"]["detection"]["properties"]["certainty"]["enum"] == [str(c) for c in Certainty]
    dataset = schemas.load_schema("dataset")["$defs"]
    assert dataset["image"]["properties"]["review"]["enum"] == [str(r) for r in Review]
    assert dataset["annotation"]["properties"]["visibility"]["enum"] == [str(v) for v in Visibility]
    assert list(schemas.load_schema("evaluation")["$defs"]["metrics"]["properties"]) == list(METRIC_NAMES)
    assert schemas.load_schema("progress")["properties"]["state"]["enum"] == [str(s) for s in TaskState]
    origins = schemas.load_schema("session")["properties"]["calibration"]["anyOf"][1]["properties"]["origin"]["enum"]
    assert origins == [str(o) for o in CalibrationOrigin if o is not CalibrationOrigin.NONE]


def test_plugin_manifest_schema_agrees_with_the_sdk() -> None:
    manifest = pytest.importorskip("puncta.sdk.manifest")
    path = GOLDEN / SAMPLES["plugin-manifest"]
    assert manifest.parse_manifest(path.read_text(encoding="utf-8")).id == "made-plugin"
    schema = schemas.load_schema("plugin-manifest")
    fields = manifest.PluginManifest.model_fields
    assert set(schema["properties"]) == set(fields)
    assert set(schema["required"]) == {name for name, field in fields.items() if field.is_required()}


def test_registry_schema_agrees_with_inference() -> None:
    registry = pytest.importorskip("puncta.inference.registry")
    cards, problems = registry.read_registry(GOLDEN / "model-registry", "shipped")
    assert problems == []
    assert [card.identity for card in cards] == ["tip-made 0.1"]
    registry.read_verified(cards[0])


@pytest.mark.parametrize("path", ["models/registry.toml"])
def test_shipped_registry_fits(path: str, repo_root: Path) -> None:
    if not (repo_root / path).is_file():
        pytest.skip(f"{path} does not exist yet")
    assert validate(repo_root / path).problems == ()


def test_shipped_manifests_label_sets_and_experiments_fit(repo_root: Path) -> None:
    shipped = [*repo_root.glob("plugins/*/plugin.toml"), *repo_root.glob("resources/label_sets/*.json"),
               *repo_root.glob("app/puncta/training/experiments/**/*.toml"),
               *repo_root.glob("resources/datasets/*.toml")]
    assert shipped
    assert {str(p.relative_to(repo_root)): validate(p).problems for p in shipped} == {
        str(p.relative_to(repo_root)): () for p in shipped
    }
