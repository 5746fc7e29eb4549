"""The report of a training: what it shows is what the log and the network say, and the page stands alone."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("torch", reason="training needs PyTorch; install the train extra")

import torch  # noqa: E402

from puncta.core.errors import UserError  # noqa: E402
from puncta.recording.tiles import ANSWER, TRUTH, WORST, Row, Tile, draw_tile, encode_sheet, lay_sheet  # noqa: E402
from puncta.training import report_pictures as pictures  # noqa: E402
from puncta.training.data import Clip  # noqa: E402
from puncta.training.pace import Pace, stages_of, work_of  # noqa: E402
from puncta.training.report import COMPOSED, CURVES, PAGE, charts_of, write_report  # noqa: E402
from puncta.training.report_charts import Chart, Series, draw_chart, lay_chart, svg_from_chart  # noqa: E402
from puncta.training.report_story import read_story, tell_state  # noqa: E402

CONFIG = {
    "name": "toy", "title": "A <toy> & more", "plugin": "needle-tip", "seed": 1,
    "data": {"machines": ["A", "B"], "procedures": ["breast"], "clips": 30, "tune_clips": 6, "frames": 20,
             "backgrounds": [], "composites": 0, "datasets": []},
    "model": {"net": "tip_stream", "id": "toy", "version": "0.1", "input": {"size": 256}},
    "training": {"samples": 4000, "batch": 10, "stages": [{"size": 128, "samples": 1000}]},
}


def write_folder(folder: Path, state: str = "running", lines: int = 5) -> Path:
    head = {"format": "puncta-training", "version": 1, "state": state, "simulated": True, "config": CONFIG,
            "created_utc": "2026-01-31T12:00:00Z", "device": "cpu (x86_64)", "threads": 2, "versions": {"torch": "2"},
            "samples": 0, "files": {"log": "log.jsonl", "weights": None, "onnx": None, "table": None}}
    (folder / "training.json").write_text(json.dumps(head), encoding="utf-8")
    log = []
    for k in range(1, lines + 1):
        line = {"step": 40 * k, "samples": 400 * k, "split": "train", "elapsed_s": 10.0 * k, "learning_rate": 1e-3 / k,
                "losses": {"tip": 2.0 / k, "shaft": 0.2}}
        log.append(json.dumps(line))
    log.append(json.dumps({"step": 200, "samples": 2000, "split": "tune", "elapsed_s": 50.0,
                           "metrics": {"within_5_percent": 0.625, "presence_auc": 0.9}}))
    (folder / "log.jsonl").write_text("\n".join(log) + '\n{"step": 20', encoding="utf-8")  # killed while writing
    return folder


class Outside(HTMLParser):
    """Collects what a page would load, and whether its tags close."""

    def __init__(self) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.loads += [v or "" for k, v in attrs if k in ("src", "href", "xlink:href")]

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def test_the_page_stands_alone_and_tells_how_it_goes(tmp_path: Path) -> None:
    page = write_report(write_folder(tmp_path)).read_text(encoding="utf-8")
    parser = Outside()
    parser.feed(page)
    assert all(v.startswith("data:") for v in parser.loads)
    assert "<script" not in page and "http" not in page.replace("http-equiv", "")
    text = " ".join(parser.text)
    assert "A <toy> & more" in text  # escaped once, read back whole
    assert "2,000 of 4,000 samples after 50 s, 40 samples a second, about 50 s left" in text
    assert "62.5 %" in text and "not for clinical use" in text
    assert 'http-equiv="refresh"' in page
    assert "30 simulated cines of machines A, B" in text
    assert cv2.imread(str(tmp_path / CURVES)) is not None
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []


def test_a_finished_folder_is_not_renewed_and_a_stopped_one_says_how_to_go_on(tmp_path: Path) -> None:
    write_folder(tmp_path, "done")
    assert "refresh" not in write_report(tmp_path).read_text(encoding="utf-8")
    write_folder(tmp_path, "cancelled")
    assert "--resume" in tell_state(read_story(tmp_path))
    with pytest.raises(UserError, match="holds no training"):
        write_report(tmp_path / "nowhere")


def test_a_report_before_the_first_line_is_whole(tmp_path: Path) -> None:
    write_folder(tmp_path, lines=0)
    (tmp_path / "log.jsonl").unlink()
    assert "nothing yet" in write_report(tmp_path).read_text(encoding="utf-8")
    assert (tmp_path / PAGE).stat().st_size > 2000


def test_charts_show_the_values_of_the_log(tmp_path: Path) -> None:
    losses, tune, rate, speed = charts_of(read_story(write_folder(tmp_path)))
    by_name = {s.name: s for s in losses.series}
    assert list(by_name) == ["tip", "shaft", "sum"]
    assert list(by_name["tip"].y) == pytest.approx([2.0, 1.0, 2 / 3, 0.5, 0.4])
    assert by_name["sum"].y[0] == pytest.approx(2.2)
    assert losses.marks == ((0.0, "128 px"), (1000.0, "256 px"))
    assert tune.span == (0.0, 1.0) and [s.y[-1] for s in tune.series] == [0.625, 0.9]
    assert list(rate.series[0].y)[-1] == pytest.approx(2e-4) and set(speed.series[0].y) == {40.0}


def test_lines_lie_where_their_values_are_and_names_never_lie_on_each_other() -> None:
    chart = Chart("Some", [Series(n, [0, 100], [0.0, v]) for n, v in (("a", 0.5), ("b", 0.51), ("c", 0.52))], 100.0,
                  span=(0.0, 1.0))
    items = lay_chart(chart, 500, 300)
    lines = [i for i in items if getattr(i, "width", 0) == 1.8]
    (x0, y0), (x1, y1) = lines[0].points
    top = next(i.at[1] for i in items if getattr(i, "text", "") == "1")
    bottom = next(i.at[1] for i in items if getattr(i, "text", "") == "0" and i.anchor == "end")
    assert x0 < x1 and y0 == pytest.approx(bottom) and y1 == pytest.approx((top + bottom) / 2)
    names = sorted(i.at[1] for i in items if getattr(i, "bold", False) and i.text[0] in "abc")
    assert np.diff(names).min() >= 14
    assert draw_chart(chart, 500, 300).shape == (600, 1000, 3)
    assert svg_from_chart(chart).count("<polyline") >= 3


def test_the_time_left_counts_in_that_larger_pictures_take_longer() -> None:
    stages = stages_of(CONFIG)
    assert stages == [(128, 1000), (256, 3000)]
    assert work_of(stages, 1000) == pytest.approx(250) and work_of(stages, 4000) == pytest.approx(3250)
    pace = Pace(stages, 4000)
    assert pace.note(400, 100.0) == (None, None)  # a resumed run has a past that took no time of its own
    speed, left_s = pace.note(800, 110.0)
    assert speed == pytest.approx(40) and left_s == pytest.approx((3250 - 200) / 10)


def made_clip(name: str, source: str, tip: bool, machine: str = "A") -> Clip:
    frames = np.random.default_rng(len(name)).integers(0, 90, (14, 72, 72)).astype(np.uint8)
    points = np.full((14, 2), np.nan)
    entries = points.copy()
    if tip:
        points[:], entries[:] = (36.0, 40.0), (0.0, 4.0)
    return Clip(name, source, machine, frames, points, entries, np.full(14, int(tip), np.int8), np.zeros((14, 2)),
                (0.5, 0.5))


class Pointing(torch.nn.Module):
    """Says that a tip is in cell (row 8, column 7) of 16, whatever it sees."""

    def __init__(self, presence: float) -> None:
        super().__init__()
        self.presence = torch.nn.Parameter(torch.tensor(presence))

    def state_shapes(self, size: int) -> list[tuple[int, int, int, int]]:
        return [(1, 1, size // 8, size // 8)]

    def step(self, frame, states):
        assert states[0].shape == (len(frame), 1, 8, 8)
        maps = torch.zeros(len(frame), 6, 16, 16)
        maps[:, 0, 8, 7] = 5.0
        maps[:, 3] = 1.0
        return maps, self.presence.expand(len(frame)), None, [states[0] + 1]


def test_answers_are_read_back_in_the_clips_own_pixels() -> None:
    groups = [[made_clip("a", "simulator", True), made_clip("bb", "simulator", False)],
              [made_clip("ccc", "composite", True)]]
    chosen = pictures.choose_frames(groups)
    assert [c.clip.name for c in chosen] == ["a", "bb", "ccc"]
    assert [c.frame for c in chosen] == [c.frame for c in pictures.choose_frames(groups)]
    answers = pictures.answer_chosen(Pointing(3.0), chosen, 64)
    # Cell (8, 7) of stride 4 is pixel (29.5, 33.5) of 64, which is 9/8 as far of 72.
    assert answers[0].tip_px == pytest.approx(((29.5 + 0.5) * 1.125 - 0.5, (33.5 + 0.5) * 1.125 - 0.5))
    assert answers[0].entry_px[0] > answers[0].tip_px[0]
    assert answers[0].entry_px[1] == pytest.approx(answers[0].tip_px[1])
    assert answers[0].error_mm == pytest.approx(0.5 * np.hypot(36.0 - 33.25, 40.0 - 37.75))
    assert answers[1].error_mm is None and answers[1].harm > answers[0].harm
    assert pictures.mark_extremes(answers[:2]) == ["best", "worst"]
    (row,) = pictures.lay_rows(answers[:2], simulated=True)
    assert [t.caption[0] for t in row.tiles] == ["tip off by 1.8 mm", "false alarm"]
    with pytest.raises(ValueError, match="sheets of their own"):
        pictures.lay_rows(answers, simulated=True)
    silent = pictures.answer_chosen(Pointing(-3.0), chosen, 64)
    (row,) = pictures.lay_rows(silent[:2], simulated=True)
    assert [t.caption[0] for t in row.tiles] == ["missed", "silent, no tip there"]
    assert [t.badge for t in row.tiles] == ["worst", ""]


def test_counts_and_log_odds_are_no_shares_and_have_the_names_of_the_card(tmp_path: Path) -> None:
    figures = {"known_alarms_after": 1.0, "threshold_raised": 0.0, "site_frames": 1.0}
    (write_folder(tmp_path) / "calibration.json").write_text(json.dumps({"figures": figures}), encoding="utf-8")
    page = write_report(tmp_path).read_text(encoding="utf-8")
    said = page.split("set on the tune split")[1].split("</table>")[0]
    assert "False alarms, machines known before, after it".lower() in said.lower()
    assert "%" not in said and "known alarms" not in said


def test_pictures_of_the_data_given_are_not_called_simulated_needles_on_stills(tmp_path: Path) -> None:
    clips = [made_clip("a", "dataset", True, "F"), made_clip("bb", "composite", True)]
    answers = pictures.answer_chosen(Pointing(3.0), [pictures.Chosen(clip, 5) for clip in clips], 64)
    stills, given = pictures.lay_rows(answers, simulated=False)
    assert (stills.heading, stills.tiles[0].origin) == ("Simulated needles on other pictures", "simulated needle")
    assert (given.heading, given.tiles[0].origin) == ("Pictures of the data that it was given", "data given")
    head = json.loads((write_folder(tmp_path) / "training.json").read_text(encoding="utf-8"))
    head["config"]["data"]["datasets"] = ["ward-7"]
    (tmp_path / "training.json").write_text(json.dumps(head), encoding="utf-8")
    (tmp_path / COMPOSED).write_bytes(b"png")
    page = write_report(tmp_path).read_text(encoding="utf-8")
    assert "The same for frames of the data that it was given (ward-7)." in page and "needle-free stills" not in page


def test_a_training_without_a_checkpoint_is_not_said_to_go_on_from_one(tmp_path: Path) -> None:
    said = tell_state(read_story(write_folder(tmp_path, "cancelled", lines=0)))
    assert said.endswith("--resume begins anew, for there is no checkpoint yet.")


def test_a_sheet_keeps_the_colours_of_its_marks_and_its_middle_free() -> None:
    tile = Tile(np.full((100, 100), 60, np.uint8), ("one", "two"), (50, 50), (0, 0), (70, 50), (90, 50), 8.0,
                badge="worst")
    drawn = draw_tile(tile, (200, 200))
    assert drawn.shape == (234, 200, 3)
    for colour in (TRUTH, ANSWER, WORST):
        assert (np.abs(drawn.astype(int) - colour).sum(-1) < 90).any()
    assert tuple(drawn[100, 100]) == (60, 60, 60)  # nothing covers the tip itself
    sheet = lay_sheet("Some", [Row("Here", [tile] * 7, "a note"), Row("Empty", [])], columns=5)
    data = encode_sheet(sheet)
    back = cv2.cvtColor(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
    assert back.shape == sheet.shape and np.abs(back.astype(int) - sheet).mean() < 4
    assert re.match(rb"\x89PNG", data)
