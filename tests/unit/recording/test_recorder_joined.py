"""What stands beside recorded pictures: results, models, target, heat maps, transforms, each with its frame."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
from recorder_stage import analysis_of, at_times, frames, read_back

from puncta.core.results import Analysis, HeatMap, PluginOutput
from puncta.core.target import TargetFix, TargetLoss
from puncta.formats.results_lines import read_results
from puncta.formats.validate import validate
from puncta.recording.recorder import Recorder
from puncta.sources.factory import open_source
from puncta.sources.native_layout import layout_of


def test_results_stand_in_the_kept_pictures_pixels_and_join_by_key(recorder: Recorder, tmp_path: Path) -> None:
    sent = frames(3)
    recorder.begin(tmp_path / "s")
    for frame in sent:
        recorder.put_wait(frame)
        recorder.put_analysis(analysis_of(frame))
    recorder.mark("bookmark", "here", (10.0, 30.0))
    recorder.put_transform("ProbeToTracker", np.eye(4).ravel(), sent[0].t_ns + 5)
    recorder.end()
    assert recorder.wait_idle()
    lines = list(read_results(tmp_path / "s" / "results.jsonl"))
    assert [line.key.sha256 for line in lines] == [f.digest() for f in read_back(tmp_path / "s")]
    tip, mask = lines[0].outputs["needle-tip"]
    assert tip.tip_px == (7.0, 7.0) and tip.box == (5.0, 6.0, 4.0, 2.0) and mask.origin_px == (1, 2)
    manifest = json.loads((tmp_path / "s" / "session.json").read_text())
    assert manifest["results"] == [
        {"file": "results.jsonl", "plugins": ["needle-tip"], "models": [{"id": "tip 1", "sha256": "a" * 64}]}
    ]
    assert manifest["markers"][0]["point_px"] == [7.0, 30.0 - manifest["streams"][0]["origin_px"][1]]
    assert manifest["markers"][0]["key"]["index"] == 2
    events = [json.loads(line) for line in (tmp_path / "s" / "events.jsonl").read_text().splitlines()]
    transform = next(e for e in events if e["type"] == "transform")
    assert transform["matrix"][0] == 1.0 and transform["t_ns"] == 5
    assert manifest["transforms"] == [{"name": "ProbeToTracker", "count": 1}]
    source = open_source(str(tmp_path / "s"))
    assert dict(source.info.details)["Transforms"] == "1 of ProbeToTracker"
    source.close()
    assert validate(tmp_path / "s").problems == ()


def test_each_change_of_a_model_is_an_event_also_where_one_comes_back(recorder: Recorder, tmp_path: Path) -> None:
    recorder.begin(tmp_path / "s")
    for frame, model in zip(frames(5), "aabba", strict=True):
        recorder.put_wait(frame)
        found = analysis_of(frame)
        output = replace(found.outputs[0], model=f"tip {model}", model_sha256=model * 64)
        recorder.put_analysis(replace(found, outputs=(output,)))
    recorder.end()
    assert recorder.wait_idle()
    events = [json.loads(line) for line in (tmp_path / "s" / "events.jsonl").read_text().splitlines()]
    told = [(e["after_index"], e["id"]) for e in events if e["type"] == "model"]
    assert [name for _, name in told] == ["tip a", "tip b", "tip a"]
    manifest = json.loads((tmp_path / "s" / "session.json").read_text())
    assert [m["id"] for m in manifest["results"][0]["models"]] == ["tip a", "tip b"]
    assert validate(tmp_path / "s").problems == ()


def test_the_target_stands_with_each_frame_in_the_kept_pictures_pixels(recorder: Recorder, tmp_path: Path) -> None:
    sent = frames(4)
    x0, y0, *_ = sent[0].geometry.region.box
    fixes = [None, TargetFix((x0 + 30.0, y0 + 20.0), 2.5), TargetFix(None, 9.0, TargetLoss.PLANE)]
    recorder.begin(tmp_path / "s")
    for frame, fix in zip(sent, fixes, strict=False):
        recorder.put_wait(frame)
        recorder.put_analysis(replace(analysis_of(frame), target=fix))
    recorder.end()
    assert recorder.wait_idle()
    lines = list(read_results(tmp_path / "s" / "results.jsonl"))
    assert [line.target for line in lines] == [
        None,
        TargetFix((30.0, 20.0), 2.5),
        TargetFix(None, 9.0, TargetLoss.PLANE),
    ]
    assert validate(tmp_path / "s").problems == ()


def test_a_heat_map_lies_on_the_kept_picture(recorder: Recorder, tmp_path: Path) -> None:
    (frame,) = frames(1)
    x0, y0, *_ = frame.geometry.region.box
    heat = HeatMap("csf", np.full((2, 2), 0.5, np.float32), (x0 + 1.0, y0 + 2.0, 40.0, 30.0))
    recorder.begin(tmp_path / "s")
    recorder.put_wait(frame)
    recorder.put_analysis(Analysis(frame, (PluginOutput("infant-lp", frame.frame_id, (heat,)),)))
    recorder.end()
    assert recorder.wait_idle()
    (line,) = read_results(tmp_path / "s" / "results.jsonl")
    assert line.outputs["infant-lp"][0].box_px == (1.0, 2.0, 40.0, 30.0)


def test_transforms_of_the_last_seconds_are_saved_between_their_frames(tmp_path: Path) -> None:
    sent = at_times(frames(30), 100.0)
    recorder = Recorder(layout_of, pre_roll_s=1.0)
    matrix = [float(v) for v in np.eye(4).ravel()]
    try:
        for n, frame in enumerate(sent):
            recorder.put_wait(frame)
            recorder.put_transform(f"Probe{n}", matrix, frame.t_ns + 1_000)
        recorder.save_last(tmp_path / "last")
        recorder.begin(tmp_path / "on")
        assert recorder.wait_idle()
        recorder.put_transform("Later", matrix, sent[-1].t_ns + 2_000)
        recorder.end()
        assert recorder.wait_idle()
        assert recorder.status().stored == 11
    finally:
        recorder.close()
    for name, more in (("last", []), ("on", [("Later", 10)])):
        lines = [json.loads(line) for line in (tmp_path / name / "events.jsonl").read_text().splitlines()]
        found = [(e["name"], e["after_index"]) for e in lines if e["type"] == "transform"]
        assert found == [(f"Probe{n}", n - 19) for n in range(19, 30)] + more
        assert validate(tmp_path / name).problems == ()
