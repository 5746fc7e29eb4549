"""The report of a training: a page that stands alone and pictures beside it, drawn from the training folder.

While a training runs it is drawn again at every checkpoint, and a reader's browser renews it; of a finished folder it
can be drawn at any time. It reads training.json, log.jsonl and calibration.json alone, so that the few small files that
are kept of a shipped model are enough.
"""

from __future__ import annotations

import base64
import html
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from puncta.core.errors import UserError
from puncta.formats.atomic import AtomicFile, write_text_atomic
from puncta.formats.progress import say_time
from puncta.recording.sheet import SAFETY_LINE
from puncta.training.pace import Pace, stages_of
from puncta.training.report_charts import Chart, Series, draw_chart, svg_from_chart

PAGE = "report.html"
CURVES = "curves.png"
PICTURES = "validation.png"
"""Simulated validation pictures."""
COMPOSED = "validation-stills.png"
"""Validation pictures on real stills: they stay in the training folder and are not handed on with a model."""

_RENEWED_S = 60
_STYLE = """
body{font:15px/1.5 Inter,system-ui,sans-serif;color:#14181d;background:#fff;margin:0;padding:28px}
main{max-width:1280px;margin:auto}h1{font-size:24px;margin:0 0 2px}h2{font-size:17px;margin:34px 0 8px}
p{max-width:78ch;margin:6px 0}.quiet{color:#4a5562}
.safe{border:1px solid #d5dbe1;border-left:5px solid #8a6d00;border-radius:6px;padding:8px 12px;max-width:none}
.state{font-size:17px;margin:10px 0}.bar{height:8px;background:#dfe4e9;border-radius:4px;margin:8px 0 14px}
.bar div{height:8px;background:#0072b2;border-radius:4px}
.cards{display:flex;flex-wrap:wrap;gap:12px;padding:0;margin:14px 0}
.cards div{border:1px solid #d5dbe1;border-radius:8px;padding:8px 16px;min-width:120px}
.cards b{display:block;font-size:22px;font-variant-numeric:tabular-nums}
.charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(480px,1fr));gap:18px 28px}
svg{width:100%;height:auto;font-family:Inter,system-ui,sans-serif}img{max-width:100%;height:auto}
table{border-collapse:collapse;font-variant-numeric:tabular-nums}
td,th{text-align:left;padding:3px 22px 3px 0;vertical-align:top}
th{color:#4a5562;font-weight:500;white-space:nowrap}thead th{border-bottom:1px solid #d5dbe1}
summary{cursor:pointer;color:#0072b2}
@media print{body{padding:0}.charts{grid-template-columns:1fr 1fr}}
"""

_FIGURES = {
    "within_5_percent": "tip within 5 % of the side",
    "presence_auc": "tip there or not, AUC",
    "frames": "frames judged",
    "usefulness": "usefulness",
    "usefulness_unfiltered": "usefulness, every frame alone",
    "usefulness_sample_alone": "usefulness on a sample, every frame alone",
    "usefulness_sample_filtered": "usefulness on a sample, with the filter",
    "shown_of_tips": "tips that are shown",
    "close_of_shown": "close, of those shown",
    "predicted_of_shown": "carried on by the filter, of those shown",
    "false_alarms": "false alarms, of frames without a tip",
    "median_error_mm": "median error",
    "median_radius_cells": "median circle",
    "coverage90": "tips in their 90 % circle",
    "ece": "calibration error",
    "unfamiliar": "frames called unfamiliar",
    "not_ultrasound": "frames called no ultrasound",
}
_KINDS = {"simulated_": "simulated pictures: ", "stills_": "needles in stills: "}
_SHORT = {"within_5_percent": "tip near", "presence_auc": "presence"}
"""Names at the ends of lines, where room is scarce."""


@dataclass(frozen=True, slots=True)
class Story:
    """What a training folder tells.

    Attributes
    ----------
    head : dict
        training.json.
    train, tune : list of dict
        Lines of the log.
    calibration : dict or None
    legs : tuple of str
        Names of the trainings that this one goes on from, oldest first.
    """

    head: dict[str, Any]
    train: list[dict[str, Any]]
    tune: list[dict[str, Any]]
    calibration: dict[str, Any] | None
    legs: tuple[str, ...] = ()

    @property
    def config(self) -> dict[str, Any]:
        """The experiment with its defaults."""
        return self.head.get("config", {})

    @property
    def seen(self) -> int:
        """Samples seen so far."""
        return int(max([self.head.get("samples", 0), *(line["samples"] for line in self.train[-1:])]))

    @property
    def total(self) -> int:
        """Samples in all; what was seen, where the experiment does not say."""
        settings = self.config.get("training", {})
        return int(settings.get("samples") or self.seen or 1)

    @property
    def elapsed_s(self) -> float:
        """Time spent in the loop [s]."""
        return float(self.train[-1]["elapsed_s"]) if self.train else float(self.head.get("elapsed_s", 0.0))

    @property
    def left_s(self) -> float | None:
        """Time left [s], as fast as of late; larger pictures take longer."""
        pace = Pace(stages_of(self.config), self.total)
        for line in self.train[-2:]:
            found = pace.note(int(line["samples"]), float(line["elapsed_s"]))
        return found[1] if len(self.train) > 1 else None

    @property
    def rate(self) -> float | None:
        """Samples a second of late."""
        rates = speeds(self.train)
        return rates[-1][1] if rates else None


def read_story(folder: Path) -> Story:
    """Read what a training folder tells.

    Raises
    ------
    UserError
        No training is there, or a file of it cannot be read.
    """
    try:
        head = json.loads((folder / "training.json").read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"The folder {folder} holds no training; name a folder that puncta train has made.") from error
    except json.JSONDecodeError as error:
        raise UserError(f"The file training.json in {folder} cannot be read, so there is nothing to report.") from error
    calibration = folder / "calibration.json"
    try:
        found = json.loads(calibration.read_text(encoding="utf-8")) if calibration.exists() else None
    except json.JSONDecodeError:
        found = None
    lines = _log_lines(folder / "log.jsonl")
    legs = [p.name.partition("-")[2] for p in sorted((folder / "legs").glob("*")) if p.is_dir()]
    return Story(
        head, [v for v in lines if v["split"] == "train"], [v for v in lines if v["split"] == "tune"], found,
        tuple(legs),
    )


def _log_lines(path: Path) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    lines = []
    for text in path.read_text(encoding="utf-8").splitlines():
        try:
            line = json.loads(text)
        except json.JSONDecodeError:
            continue  # A run that was killed may leave half a line at the end.
        if {"split", "samples", "elapsed_s"} <= line.keys():
            lines.append(line)
    return lines


def speeds(lines: Sequence[Mapping[str, Any]]) -> list[tuple[float, float]]:
    """Return (samples, samples a second) between lines of the log; a pause between two runs is no time spent."""
    out = []
    for a, b in zip(lines, lines[1:]):
        took = float(b["elapsed_s"]) - float(a["elapsed_s"])
        if took > 0 and b["samples"] > a["samples"]:
            out.append((float(b["samples"]), (b["samples"] - a["samples"]) / took))
    return out


def charts_of(story: Story) -> list[Chart]:
    """Return the charts: losses by part, figures of the tune split, learning rate, speed."""
    end = float(max(story.total, story.seen))
    names = list(dict.fromkeys(n for line in story.train for n in line.get("losses", {})))
    x = [float(line["samples"]) for line in story.train]
    stages = _stage_marks(story.config)
    parts = [Series(n, x, [_value(line.get("losses", {}).get(n)) for line in story.train]) for n in names]
    if len(parts) > 1:
        parts.append(Series("sum", x, [float(np.nansum([s.y[k] for s in parts])) for k in range(len(x))]))
    tuned = list(dict.fromkeys(n for line in story.tune for n in line.get("metrics", {})))
    at = [float(line["samples"]) for line in story.tune]
    shares = [Series(_SHORT.get(n, n.replace("_", " ")), at,
                     [_value(line.get("metrics", {}).get(n)) for line in story.tune]) for n in tuned]
    within = all(0 <= y <= 1 for s in shares for y in s.y if math.isfinite(y))
    rates = [(float(v["samples"]), float(v["learning_rate"])) for v in story.train if "learning_rate" in v]
    quick = speeds(story.train)
    return [
        Chart("Losses by part (running means)", parts, end, logarithmic=True, marks=stages),
        Chart("Tune split", shares, end, span=(0.0, 1.0) if within else None, percent=within, marks=stages),
        Chart("Learning rate", [Series("rate", *_columns(rates))], end, marks=stages),
        Chart("Samples a second", [Series("speed", *_columns(quick))], end, marks=stages),
    ]


def _columns(pairs: Sequence[tuple[float, float]]) -> tuple[list[float], list[float]]:
    return [x for x, _ in pairs], [y for _, y in pairs]


def _value(value: Any) -> float:
    return float(value) if isinstance(value, int | float) else math.nan


def _stage_marks(config: Mapping[str, Any]) -> tuple[tuple[float, str], ...]:
    """Uprights where a stage with another input size begins."""
    marks, at = [], 0.0
    for size, samples in stages_of(config):
        marks.append((at, f"{size} px"))
        at += samples
    return tuple(marks) if len(marks) > 1 else ()


def write_report(folder: Path) -> Path:
    """Draw the report of a training folder; return its page.

    Raises
    ------
    UserError
        No training is there.
    """
    story = read_story(folder)
    charts = charts_of(story)
    drawn = [draw_chart(c) for c in charts]
    _write_png(folder / CURVES, np.vstack([np.hstack(drawn[:2]), np.hstack(drawn[2:])]))
    write_text_atomic(folder / PAGE, _page(story, charts, folder))
    return folder / PAGE


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file that is whole or not there."""
    with AtomicFile(path, binary=True) as file:
        file.write(data)


def _write_png(path: Path, picture: NDArray[np.uint8]) -> None:
    out = io.BytesIO()
    # A palette is enough for lines, and the file is a third of the size.
    Image.fromarray(picture).quantize(255, dither=Image.Dither.NONE).save(out, "PNG", optimize=True)
    write_bytes(path, out.getvalue())


def _page(story: Story, charts: Sequence[Chart], folder: Path) -> str:
    esc = html.escape
    config = story.config
    title = str(config.get("title") or config.get("name", "Training"))
    running = story.head.get("state") == "running"
    renewed = f'<meta http-equiv="refresh" content="{_RENEWED_S}">' if running else ""
    share = min(1.0, story.seen / max(1, story.total))
    cards = "".join(f"<div>{esc(word)}<b>{esc(value)}</b></div>" for word, value in _cards(story))
    drawn = "".join(svg_from_chart(c) for c in charts)
    sections = [
        f'<h1>{esc(title)}</h1><p class="quiet">Report of the training <b>{esc(str(config.get("name", "")))}</b> '
        f"for the plugin {esc(str(config.get('plugin', '')))}</p>",
        f'<p class="safe">{SAFETY_LINE}. Every needle is simulated or drawn; '
        "figures say nothing about real scanners.</p>",
        f'<p class="state">{esc(tell_state(story))}</p>'
        f'<div class="bar" role="progressbar" aria-valuenow="{100 * share:.0f}" aria-valuemin="0" '
        f'aria-valuemax="100" aria-label="samples seen"><div style="width:{100 * share:.1f}%"></div></div>',
        f'<div class="cards">{cards}</div>' if cards else "",
        f'<h2>How it goes</h2><div class="charts">{drawn}</div>',
        _pictures(folder),
        _data_section(config),
        _thresholds(story),
        _settings(story),
        _numbers(story),
    ]
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8">{renewed}'
        f'<meta name="viewport" content="width=device-width"><title>Puncta training: {esc(title)}</title>'
        f"<style>{_STYLE}</style></head><body><main>{''.join(sections)}</main></body></html>\n"
    )


def tell_state(story: Story) -> str:
    """Say in one sentence how far the training is."""
    state = story.head.get("state")
    seen, total = f"{story.seen:,}", f"{story.total:,}"
    spent = say_time(story.elapsed_s)
    where = story.head.get("device", "cpu")
    threads = story.head.get("threads")
    on = f"on {where}" + (f", {threads} {'thread' if threads == 1 else 'threads'}" if threads else "")
    if state == "done":
        return f"Done: {seen} samples in {spent} {on}."
    if state == "running":
        left = f", about {say_time(story.left_s)} left" if story.left_s is not None else ""
        speed = f", {story.rate:.0f} samples a second" if story.rate else ""
        return f"Running {on}: {seen} of {total} samples after {spent}{speed}{left}."
    word = "Stopped" if state == "cancelled" else "Failed"
    return f"{word} after {seen} of {total} samples and {spent} {on}; --resume goes on from the last checkpoint."


def _cards(story: Story) -> list[tuple[str, str]]:
    cards = []
    if story.tune:
        for name, value in story.tune[-1].get("metrics", {}).items():
            cards.append((name_figure(name), _share(name, value)))
    if story.train:
        losses = [v for v in story.train[-1].get("losses", {}).values() if isinstance(v, int | float)]
        if losses:
            cards.append(("sum of losses", f"{sum(losses):.3g}"))
    if story.head.get("parameters"):
        cards.append(("weights", f"{story.head['parameters']:,}"))
    if story.rate:
        cards.append(("samples a second", f"{story.rate:.0f}"))
    return cards


def name_figure(name: str) -> str:
    """Return a figure's name in words."""
    for prefix, words in _KINDS.items():
        if name.startswith(prefix):
            return words + name_figure(name.removeprefix(prefix))
    return _FIGURES.get(name, name.replace("_", " "))


def _share(name: str, value: Any) -> str:
    """Return a figure with its unit, which its name tells; what names none is a share."""
    if not isinstance(value, int | float):
        return "-"
    if name == "frames":
        return f"{value:,.0f}"
    for unit in ("mm", "cells", "px", "deg"):
        if name.endswith(f"_{unit}"):
            return f"{value:.3g} {unit}"
    return f"{value:.3g}" if "auc" in name or not -1 <= value <= 1 else f"{100 * value:.1f} %"


def _pictures(folder: Path) -> str:
    parts = []
    for name, words in (
        (PICTURES, "Pictures of the tune split, always the same frames, never trained on; all of them are simulated. "
                   "They are stretched to the square that the network sees. A tip counts as given from a presence of "
                   "0.5 on, and as near within 2 mm (5 % of the side where there are no millimetres); filter and "
                   "threshold of the program come after the training."),
        (COMPOSED, "The same for simulated needles on real needle-free stills. These pictures stay in this folder."),
    ):
        path = folder / name
        if path.exists():
            data = base64.b64encode(path.read_bytes()).decode()
            parts.append(f'<p class="quiet">{words}</p><img alt="{html.escape(words)}" '
                         f'src="data:image/png;base64,{data}">')
    return f"<h2>Validation pictures</h2>{''.join(parts)}" if parts else ""


def describe_data(config: Mapping[str, Any]) -> list[str]:
    """Say in words what an experiment trains on."""
    data = config.get("data", {})
    parts = []
    if data.get("clips"):
        parts.append(f"{data['clips']:,} simulated cines of machines {', '.join(data.get('machines', ()))}, "
                     f"{', '.join(data.get('procedures', ()))}")
    if data.get("backgrounds") and data.get("composites"):
        parts.append(f"{data['composites']:,} cines of drawn needles on needle-free stills "
                     f"({', '.join(data['backgrounds'])})")
    if data.get("backgrounds") and data.get("still_cines"):
        parts.append(f"{data['still_cines']:,} cines of simulated needles in such stills")
    if data.get("datasets"):
        parts.append(f"the datasets {', '.join(data['datasets'])}")
    return parts


def _data_section(config: Mapping[str, Any]) -> str:
    data = config.get("data", {})
    rows = [("trained on", "; ".join(describe_data(config)) or "not told")]
    told = [f"{data[k]:,} {word}" for k, word in
            (("tune_clips", "simulated cines"), ("tune_composites", "cines of drawn needles"),
             ("tune_still_cines", "cines of simulated needles in stills")) if data.get(k)]
    rows.append(("tuned on", ", ".join(told) + ", other seeds" if told else "not told"))
    if data.get("frames"):
        rows.append(("frames a cine", str(data["frames"])))
    rows.append(("kept for testing", "machines D and E, seeds from 800,000 on, the false-alarm half of the stills"))
    return f"<h2>Data</h2>{_table(rows)}"


def _thresholds(story: Story) -> str:
    if not story.calibration:
        return ""
    figures = story.calibration.get("figures", {})
    rows = [(name_figure(k), _share(k, v)) for k, v in figures.items()]
    return ('<h2>After the training: filter and threshold, set on the tune split</h2>'
            '<p class="quiet">These figures are on what the settings were chosen on; tests come later, '
            "on other sets.</p>"
            f"{_table(rows)}") if rows else ""


def _settings(story: Story) -> str:
    config, head = story.config, story.head
    rows = [("network", ", ".join(f"{k} {_flat(v)}" for k, v in config.get("model", {}).items()
                                  if k in ("net", "id", "version", "widths", "input")))]
    told = {k: v for k, v in config.get("training", {}).items() if k != "stages"}
    rows.append(("training", ", ".join(f"{k} {_flat(v)}" for k, v in told.items())))
    rows.append(("stages", ", then ".join(f"{n:,} samples at {size} px" for size, n in stages_of(config))))
    rows.append(("seed", str(config.get("seed", "-"))))
    if story.legs:
        rows.append(("began with", f"the weights of {story.legs[-1]}; legs before this one: {', '.join(story.legs)}"))
    rows.append(("made", f"{head.get('created_utc', '-')}, " + ", ".join(
        f"{k} {v}" for k, v in head.get("versions", {}).items())))
    parity = head.get("parity")
    if parity:
        rows.append(("ONNX against the network",
                     f"largest difference {parity['max_abs']:.1e} on {parity['inputs']} inputs"))
    for name, file in head.get("files", {}).items():
        if isinstance(file, dict):
            rows.append((f"{name}, SHA-256", file["sha256"]))
    return f"<h2>Network and settings</h2>{_table(rows)}"


def _flat(value: Any) -> str:
    if isinstance(value, Mapping):
        return " ".join(f"{k} {v}" for k, v in value.items())
    return " ".join(str(v) for v in value) if isinstance(value, list) else str(value)


def _numbers(story: Story) -> str:
    if not story.train:
        return ""
    some = [story.train[k] for k in np.unique(np.linspace(0, len(story.train) - 1, 24).astype(int))]
    names = list(dict.fromkeys(n for line in some for n in line.get("losses", {})))
    tuned = {line["samples"]: line.get("metrics", {}) for line in story.tune}
    figures = list(dict.fromkeys(n for m in tuned.values() for n in m))
    rows = [[f"{v['samples']:,}", *(f"{_value(v.get('losses', {}).get(n)):.4g}" for n in names)] for v in some]
    body = _grid(["samples", *names], rows)
    if tuned:
        body += "<p></p>" + _grid(["samples", *(name_figure(n) for n in figures)],
                                  [[f"{k:,}", *(_share(n, m.get(n)) for n in figures)] for k, m in tuned.items()])
    return f"<h2>Numbers</h2><details><summary>Losses and figures as tables</summary>{body}</details>"


def _table(rows: Sequence[tuple[str, str]]) -> str:
    cells = (f'<tr><th scope="row">{html.escape(k)}</th><td>{html.escape(v)}</td></tr>' for k, v in rows)
    return f"<table>{''.join(cells)}</table>"


def _grid(names: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f'<th scope="col">{html.escape(n)}</th>' for n in names)
    body = "".join("<tr>" + "".join(f"<td>{html.escape(c)}</td>" for c in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
