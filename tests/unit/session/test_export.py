"""Exports: films, pictures, a table, a DICOM cine; whole or not at all, labelled, pixels as they were recorded."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pydicom
import pytest
from made_session import make_session
from PIL import Image

from puncta.cli.main import main
from puncta.core.errors import UserError
from puncta.core.target import TargetFix
from puncta.recording.sheet import SAFETY_LINE, draw_sheet
from puncta.session.export import ExportRequest, analysis_from_line, export_case
from puncta.sources.factory import open_source


@pytest.fixture
def session(tmp_path: Path) -> Path:
    return make_session(tmp_path / "s")


def frames_of(folder: Path) -> list:
    source = open_source(str(folder))
    frames = [source.read() for _ in range(source.info.frame_count)]
    source.close()
    return frames


def pictures_of(film: Path) -> tuple[list[np.ndarray], list[float], dict]:
    with av.open(str(film)) as container:
        decoded = list(container.decode(video=0))
        return [f.to_ndarray(format="rgb24") for f in decoded], [float(f.pts * f.time_base) for f in decoded], dict(
            container.metadata
        )  # fmt: skip


def test_everything_is_written_with_the_pixels_and_times_of_the_session(session: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    request = ExportRequest(
        str(session), raw=out / "raw.mp4", burned=out / "burned.mp4", dicom=out / "c.dcm", pictures=out / "png",
        table=out / "f.csv",
    )  # fmt: skip
    summary = export_case(request)
    frames = frames_of(session)
    assert (summary.frames, summary.with_findings) == (8, 8)
    times = [frame.key.pts_ns for frame in frames]
    # The DICOM cine: every pixel, the times, the scale, and that it is of training.
    cine = pydicom.dcmread(out / "c.dcm")
    assert np.array_equal(cine.pixel_array, np.stack([frame.pixels for frame in frames]))
    assert cine.SequenceOfUltrasoundRegions[0].PhysicalDeltaX == pytest.approx(0.01)
    assert "imulat" in cine.ImageComments and "not for clinical use" in cine.ImageComments
    assert cine.PatientID == "SIMULATED" and cine.BurnedInAnnotation == "NO"
    # The film without an overlay says that it is simulated, too: its strip has more to read than one that is not.
    wide = replace(frames[0], pixels=np.repeat(frames[0].pixels, 5, axis=1))
    whole, real = analysis_from_line(wide, None), replace(wide, source=replace(wide.source, simulated=False))
    assert not np.array_equal(draw_sheet(whole, None), draw_sheet(analysis_from_line(real, None), None))
    back = open_source(str(out / "c.dcm"))
    assert np.abs(back.info.times_ns - (np.array(times) - times[0])).max() <= 8
    back.close()
    # Single pictures and their table.
    rows = list(csv.DictReader((out / "png" / "frames.csv").open()))
    assert [row["sha256"] for row in rows] == [frame.digest() for frame in frames]
    picture = Image.open(out / "png" / rows[5]["file"])
    assert np.array_equal(np.asarray(picture), frames[5].pixels) and SAFETY_LINE in picture.text["Comment"]
    # The table of findings.
    found = list(csv.DictReader((out / "f.csv").open()))
    tips = [row for row in found if row["label"] == "needle_tip"]
    assert [float(row["tip_x_px"]) for row in tips if row["frame"] != "3"] == [40.0 + n for n in range(8) if n != 3]
    assert tips[3]["tip_x_px"] == "" and tips[3]["reason"] == "no tip is seen"
    assert {row["value"] for row in found if row["label"] == "csf"} == {"yes"}
    assert all("not for clinical use" in row["note"] and float(row["mm_per_px_x"]) == 0.1 for row in found)
    # The films: one frame each at the stored times, and the overlay in one of them alone.
    raw, raw_times, facts = pictures_of(out / "raw.mp4")
    burned, burned_times, _ = pictures_of(out / "burned.mp4")
    assert raw_times == burned_times == pytest.approx([t / 1e9 for t in times], abs=1e-4)
    assert SAFETY_LINE in facts["comment"]
    height, width = frames[0].pixels.shape
    assert raw[0].shape[0] > height  # the safety line stands below the picture
    tip_x, tip_y = 42, 30
    near = np.s_[tip_y - 20 : tip_y + 20, tip_x - 20 : tip_x + 20]
    grey = frames[2].pixels[near].astype(int)
    assert np.abs(raw[2][near].astype(int) - grey[..., None]).mean() < 12
    assert np.abs(burned[2][near].astype(int) - raw[2][near]).mean() > 12


def test_a_range_and_another_analysis(session: Path, tmp_path: Path) -> None:
    lines = (session / "results.jsonl").read_text().splitlines()
    other = tmp_path / "again.jsonl"
    moved = []
    for text in lines:
        line = json.loads(text)
        for result in line["outputs"]["needle-tip"]:
            if result["type"] == "detection" and result["tip_px"]:
                result["tip_px"][0] += 7
        moved.append(json.dumps(line))
    other.write_text("\n".join(moved) + "\n")
    request = ExportRequest(str(session), other, (4, 6), table=tmp_path / "f.csv")
    assert export_case(request).frames == 2
    found = [r for r in csv.DictReader((tmp_path / "f.csv").open()) if r["label"] == "needle_tip"]
    assert [(row["frame"], float(row["tip_x_px"])) for row in found] == [("4", 51.0), ("5", 52.0)]


def test_findings_of_other_pictures_are_refused_and_nothing_is_left(session: Path, tmp_path: Path) -> None:
    other = make_session(tmp_path / "t", size_px=(164, 120))
    out = tmp_path / "out"
    out.mkdir()
    request = ExportRequest(
        str(session), other / "results.jsonl", burned=out / "b.mp4", pictures=out / "png", table=out / "f.csv"
    )
    with pytest.raises(UserError, match="not of these pictures"):
        export_case(request)
    assert list(out.iterdir()) == []


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({}, "Nothing is asked for"),
        ({"table": "s/results.jsonl"}, "session itself"),
        ({"dicom": "s/x.dcm"}, "session itself"),
        ({"raw": "a.avi"}, "does not end in .mp4"),
        ({"pictures": "full"}, "there already"),
        ({"table": "none/f.csv"}, "does not exist"),
        ({"table": "f.csv", "span": (8, None)}, "holds none"),
    ],
)
def test_wrong_requests_are_one_sentence(session: Path, tmp_path: Path, change: dict, says: str) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    before = (session / "results.jsonl").read_bytes()
    paths = {k: tmp_path / v if isinstance(v, str) else v for k, v in change.items()}
    with pytest.raises(UserError, match=says):
        export_case(ExportRequest(str(session), **paths))
    assert (session / "results.jsonl").read_bytes() == before
    assert (tmp_path / "full" / "mine.txt").read_text() == "mine"


def test_a_recording_of_a_whole_screen_does_not_claim_that_names_are_gone(tmp_path: Path, monkeypatch) -> None:
    import puncta.session.export as module

    folder = make_session(tmp_path / "s", 2)
    manifest = json.loads((folder / "session.json").read_text())
    manifest["simulated"] = False
    manifest["streams"][0]["kept"] = "whole picture"
    (folder / "session.json").write_text(json.dumps(manifest))
    module.export_case(ExportRequest(str(folder), dicom=tmp_path / "c.dcm"))
    cine = pydicom.dcmread(tmp_path / "c.dcm")
    assert (cine.PatientIdentityRemoved, cine.BurnedInAnnotation) == ("NO", "YES")
    assert cine.PatientID == "TRAINING" and "not for clinical use" in cine.ImageComments


def test_what_is_there_already_is_written_over_only_when_asked(session: Path, tmp_path: Path, capsys) -> None:  # noqa: ANN001
    table, film = tmp_path / "f.csv", tmp_path / "film.mp4"
    table.write_text("mine\n")
    command = ["cases", "export", str(session), "--csv", str(table), "--burned", str(film)]
    assert main(command) == 2
    said = capsys.readouterr().err
    assert f"{table} is there already" in said and "--force" in said and said.count("\n") == 1
    assert table.read_text() == "mine\n" and not film.exists()
    assert main([*command, "--force"]) == 0
    assert table.read_text() != "mine\n" and film.is_file()


def test_a_burned_film_shows_the_target_and_the_path_of_its_recording(tmp_path: Path) -> None:
    plain = make_session(tmp_path / "plain")
    planned = make_session(tmp_path / "planned", target=TargetFix((60.0, 60.0), entry_px=(30.0, 34.0)))
    films = []
    for folder in (plain, planned):
        export_case(ExportRequest(str(folder), burned=tmp_path / f"{folder.name}.mp4"))
        films.append(np.stack(pictures_of(tmp_path / f"{folder.name}.mp4")[0]).astype(int))
    assert np.abs(films[0] - films[1]).max() > 60
