"""Writes the golden samples of plugins, models and their training: studies, evaluations, registries, benches."""

from __future__ import annotations

from pathlib import Path

import tomli_w
from sample_parts import PROGRAM, WHEN, sha_of_file, sha_of_text

from puncta.formats.evaluation import Evaluation, Metric, write_evaluation
from puncta.formats.jsontext import json_document, json_line
from puncta.formats.progress import Progress, TaskState, text_from_progress


def make_training(folder: Path) -> None:
    log = [
        {
            "step": 100,
            "samples": 3200,
            "split": "train",
            "elapsed_s": 12.5,
            "learning_rate": 0.002,
            "losses": {"focal": 0.81},
        },
        {"step": 100, "samples": 3200, "split": "tune", "elapsed_s": 13.0, "metrics": {"tip_within_2mm": 0.42}},
    ]
    (folder / "log.jsonl").write_text("".join(json_line(line) + "\n" for line in log), encoding="utf-8")
    (folder / "table.md").write_text("Made-up table.\n", encoding="utf-8")
    document = {
        "format": "puncta-training",
        "version": 1,
        "state": "done",
        "simulated": True,
        "config": {"name": "made", "plugin": "needle-tip", "seed": 1},
        "created_utc": WHEN,
        "device": "cpu",
        "threads": 2,
        "versions": {"torch": "2.13.0", "numpy": "2.4.6"},
        "samples": 3200,
        "parameters": 546328,
        "elapsed_s": 13.0,
        "best": {"step": 100, "metric": "tip_within_2mm", "value": 0.42},
        "parity": {"max_abs": 1.2e-5, "tolerance": 1e-3, "inputs": 16},
        "files": {
            "log": "log.jsonl",
            "weights": None,
            "onnx": None,
            "table": {"path": "table.md", "sha256": sha_of_file(folder / "table.md")},
        },
    }
    (folder / "training.json").write_text(json_document(document), encoding="utf-8")


def make_experiment(folder: Path) -> None:
    table = {
        "version": 1,
        "name": "made",
        "title": "Made-up experiment",
        "plugin": "needle-tip",
        "seed": 1,
        "data": {"source": "sim", "label_set": "needle", "machines": ["A", "B", "C"]},
        "model": {"id": "tip-ut", "version": "0.1", "net": "tip_ut", "input": {"size": [256, 256], "history": 3}},
        "training": {"samples": 3200, "batch": 32, "learning_rate": 0.002},
        "augment": {"flip": True},
        "export": {"tolerance": 0.001},
        "evaluation": {"machines": ["D", "E"], "baselines": ["max-of-older-frames"]},
    }
    (folder / "made.toml").write_text(tomli_w.dumps(table), encoding="utf-8")


def make_study(folder: Path) -> None:
    for name, kind in (("plain", "2d"), ("moving", "3d")):
        run = {
            "version": 1, "name": name, "plugin": "needle-tip", "seed": 1, "data": {"source": "study"},
            "model": {"net": "ultratiny", "kind": kind, "input": {"size": 192}},
            "training": {"samples": 3200, "batch": 32, "learning_rate": 0.002, "augment": True},
            "loss": {"focal_gamma": 1.5, "pose_constraints": True},
        }
        (folder / f"{name}.toml").write_text(tomli_w.dumps(run), encoding="utf-8")
    table = {
        "version": 1,
        "name": "made",
        "title": "Made-up study",
        "runs": ["plain.toml", "moving.toml"],
        "untrained": ["brightest"],
        "tune_every": 3,
        "resamples": 2000,
        "data": {"machines": ["A", "B", "C"], "clips": 90, "tune_clips": 9, "frames": 30},
        "sets": [{"name": "tip-easy", "title": "easy"}, {"name": "tip-hard", "title": "hard"}],
        "claims": [
            {"id": "U2", "says": "moving gains more on hard clips", "set": "tip-hard", "beyond": "tip-easy",
             "figure": "needle_ap50", "better": ["moving"], "than": ["plain"], "best": False, "at_least": 0.0,
             "at_most": 50.0},
        ],
    }
    (folder / "study.toml").write_text(tomli_w.dumps(table), encoding="utf-8")


def make_mask_study(folder: Path) -> None:
    table = {
        "version": 1,
        "kind": "mask",
        "name": "made",
        "title": "Made-up study of trackers",
        "seed": 1,
        "starter": "unet",
        "resamples": 2000,
        "data": {"train": "breast-train", "size": 128},
        "training": {"clips": 400, "batch": 4, "learning_rate": 0.001, "schedule": "scratch", "gaps": [1, 5]},
        "runs": [
            {"name": "unet", "title": "UNet", "net": "unet"},
            {"name": "stnan", "title": "STNAN", "net": "stnan", "size": "small", "depths": [1, 1, 2], "window": 9},
            {"name": "ours", "title": "Shipped", "net": "shipped", "model": "needle-track"},
        ],
        "sets": [{"name": "breast-same-machine", "title": "same machines"}],
        "pools": [{"name": "vanished", "title": "vanished", "of": ["breast-same-machine"], "vanished": True}],
        "claims": [
            {"id": "S4", "says": "recall gains more than precision", "set": "vanished", "mode": "given",
             "figure": "recall", "minus": "precision", "better": "stnan", "than": "unet", "at_least": 0.0},
        ],
    }
    (folder / "study.toml").write_text(tomli_w.dumps(table), encoding="utf-8")


def make_flag_study(folder: Path) -> None:
    table = {
        "version": 1,
        "kind": "flags",
        "name": "made",
        "title": "Made-up study of flags",
        "seed": 1,
        "resamples": 2000,
        "data": {
            "first": {"machines": ["A", "B"], "videos": 10, "frames": 339, "seed": 31000},
            "second": {"machines": ["C"], "videos": 3, "frames": 227, "seed": 31100},
            "organs": 450,
        },
        "model": {"size": 112, "shape": "tiny"},
        "training": {"samples": 8000, "batch": 32, "learning_rate": 0.0005},
        "pretraining": [
            {"name": "vit-organs", "title": "other organs", "net": "vit", "on": "organs", "samples": 12000},
            {"name": "resnet18-public", "title": "ImageNet", "net": "resnet18", "weights": "microsoft/resnet-18"},
        ],
        "runs": [
            {"name": "crop8-70", "title": "ResNet18", "table": 1, "net": "resnet18", "start": "resnet18-public",
             "crop": 0.8, "percent": [70, 10, 20]},
            {"name": "vit-16", "title": "ViT", "table": 2, "net": "vit", "start": "vit-organs", "rank": 16,
             "split": "frames"},
        ],
        "sets": [{"name": "lp-unseen-machine", "title": "unseen machines"}],
        "claims": [
            {"id": "L3", "says": "ViT against ResNet18", "figure": "flag_f1", "better": "vit-16", "than": "crop8-70",
             "set": "held out", "at_least": -0.5},
        ],
    }
    (folder / "study.toml").write_text(tomli_w.dumps(table), encoding="utf-8")


def make_dataset_spec(folder: Path) -> None:
    common = {"frames": 4, "sizes_px": [[96, 96], [128, 96]]}
    table = {
        "version": 1,
        "name": "made",
        "description": "A made-up spec: simulated clips to train on, real backgrounds to be tested on.",
        "license": "CC0-1.0",
        "label_set": "needle",
        "part": [
            {"split": "train", "kind": "simulated", "procedures": ["breast", "vessel"], "machines": ["A", "B"],
             "seeds": [0, 8], "views": ["radial", "short-axis"], "approaches": ["in-plane"], "lesions": ["cyst"],
             **common, "every": 2, "needle_free": 0.25, "late": 0.25, "furniture": 0.5, "hard": 0.5, "masks": True},
            {"split": "test", "kind": "composite", "stills": "false-alarm", "folders": ["stills"], "seeds": [0, 4],
             **common, "needle_free": 1.0},
        ],
    }
    (folder / "made.toml").write_text(tomli_w.dumps(table), encoding="utf-8")


def make_progress(folder: Path) -> None:
    lines = [
        Progress("train", TaskState.RUNNING, 120, 480, "steps", 30.0, 90.0, "", {"loss": 0.81}),
        Progress("train", TaskState.DONE, 480, 480, "steps", 121.5, 0.0, "Training is done."),
    ]
    (folder / "progress.jsonl").write_text("".join(text_from_progress(p) for p in lines), encoding="utf-8")


def make_evaluation(folder: Path) -> None:
    metrics = {
        "tip_error_px": Metric(8.2, 7.1, 9.6, 180),
        "tip_error_mm": Metric(0.82, 0.71, 0.96, 180),
        "tip_within_2mm": Metric(0.81, 0.76, 0.86, 200),
        "miss_rate": Metric(0.1, 0.06, 0.14, 200),
        "false_alarm_rate": Metric(None, None, None, 0),
        "mask_iou": Metric(0.74, 0.7, 0.78, 150),
        "start_delay_frames": Metric(3.0, 2.0, 5.0, 20),
        "flag_f1": Metric(0.91, 0.88, 0.94, 300),
        "flag_f1_cord": Metric(0.87, 0.8, 0.92, 100),
        "flicker_per_min": Metric(1.5, 0.6, 2.7, 290),
        "ms_per_frame": Metric(4.1, 4.0, 4.3, 200),
    }
    write_evaluation(
        Evaluation(
            "needle-tip",
            "tip-ut 0.1",
            sha_of_text("made up"),
            "made",
            "test",
            200,
            metrics,
            {"D": {"tip_within_2mm": Metric(0.78, 0.7, 0.85, 100)}},
            {"hard": {"tip_within_2mm": Metric(0.55, 0.45, 0.65, 80)}},
            prompt="first_mask",
        ),
        folder / "evaluation.json",
    )


def make_plugin(folder: Path) -> None:
    table = {
        "id": "made-plugin",
        "title": "Made-up plugin",
        "version": "0.1.0",
        "api": 1,
        "entry": "plugin:create",
        "after": ["needle-tip"],
        "every": 2,
        "budget_ms": 20.0,
        "history_frames": 3,
        "model": "tip-ut@0.1",
        "results": [{"type": "detection", "label": "needle_tip"}],
        "layers": ["tip"],
        "options": {
            "threshold": 0.3,
            "mode": {"default": "fast", "choices": ["fast", "exact"]},
            "weight_kg": {"default": 0.0, "title": "Weight", "unit": "kg", "max": 8.0, "card": True, "per_case": True},
        },
        "description": "Does nothing; shows what a manifest holds.",
        "licence": "Apache-2.0",
        "author": "The Puncta authors",
    }
    (folder / "plugin.toml").write_text(tomli_w.dumps(table), encoding="utf-8")
    (folder / "plugin.py").write_text(
        '"""Stands beside the manifest so that its entry exists; never imported."""\n', encoding="utf-8"
    )


def make_registry(folder: Path) -> None:
    (folder / "made.onnx").write_bytes(b"made up, not a network\n")
    (folder / "made.md").write_text(
        "# Made-up model\n\nNot a network; shows what a registry holds.\n", encoding="utf-8"
    )
    model = {
        "id": "tip-made",
        "version": "0.1",
        "plugin": "needle-tip",
        "file": "made.onnx",
        "sha256": sha_of_file(folder / "made.onnx"),
        "precision": "fp32",
        "licence": "Apache-2.0",
        "input": {"channels": 4, "size": [256, 256], "layout": "NCHW", "normalisation": "zscore", "history": 3},
        "outputs": ["heatmap", "offset"],
        "training_data": "Made up; trained on nothing.",
        "simulated": True,
        "metrics": {"tip_within_2mm": 0.81},
        "card": "made.md",
    }
    (folder / "registry.toml").write_text(tomli_w.dumps({"version": 1, "models": [model]}), encoding="utf-8")


def make_promotions(folder: Path) -> None:
    first = {"model": "tip-made 0.1", "sha256": sha_of_text("made up, not a network"), "at_utc": WHEN}
    second = {"model": "tip-made 0.2", "sha256": sha_of_text("made up anew, not a network"), "at_utc": WHEN}
    document = {
        "format": "puncta-promotions", "version": 1, "plugins": {"infant-lp": [], "needle-tip": [first, second]}
    }
    (folder / "promoted.json").write_text(json_document(document), encoding="utf-8")


def make_comparison(folder: Path) -> None:
    figure = {
        "name": "tip_within_2mm", "title": "tip within 2 mm", "unit": "share", "better": "higher",
        "old": {"value": 0.7, "low": 0.62, "high": 0.77, "n": 200},
        "new": {"value": 0.78, "low": 0.71, "high": 0.84, "n": 200},
        "difference": {"value": 0.08, "low": 0.03, "high": 0.13, "n": 200}, "verdict": "better",
    }
    alone = {**figure, "difference": {"value": 0.08, "low": None, "high": None, "n": 20}}
    document = {
        "format": "puncta-comparison", "version": 1, "plugin": "needle-tip",
        "old": {"model": "tip-made 0.1", "sha256": sha_of_text("made up, not a network")},
        "new": {"model": "tip-made 0.2", "sha256": sha_of_text("made up anew, not a network")},
        "data": "made", "split": "test", "simulated": True, "frames": 220, "clips": 11, "subjects": 11,
        "figures": [figure], "per_machine": {"D": [figure], "E": [{**alone, "verdict": "no clear difference"}]},
        "notes": ["Everything here is simulated: the figures say nothing about real scanners or patients."],
    }
    (folder / "comparison.json").write_text(json_document(document), encoding="utf-8")


def make_bench(folder: Path) -> None:
    document = {
        "format": "puncta-bench",
        "version": 1,
        "program": PROGRAM,
        "created_utc": WHEN,
        "machine": {
            "cpu": "made-up CPU",
            "cores": 2,
            "memory_gib": 8.0,
            "system": "Linux",
            "python": "3.11.2",
            "accelerator": None,
        },
        "figures": [
            {
                "name": "frame_to_painted",
                "title": "Frame in to painted",
                "value": 8.3,
                "unit": "ms",
                "n": 300,
                "p50": 6.1,
                "p95": 8.3,
                "p99": 11.0,
                "reach": "p95 <= 10 ms, p99 <= 16 ms",
                "met": True,
            },
            {
                "name": "pipeline_to_model",
                "title": "Pipeline throughput / raw model throughput",
                "value": 0.94,
                "unit": "ratio",
                "n": 300,
                "reach": ">= 0.9",
                "met": True,
                "ratio": 0.94,
            },
        ],
    }
    (folder / "bench.json").write_text(json_document(document), encoding="utf-8")
