"""The report of a training: a page that stands alone and pictures beside it, drawn from the training folder.

While a training runs it is drawn again at every checkpoint, and a reader's browser renews it; of a finished folder it
can be drawn at any time. It reads training.json, log.jsonl and calibration.json alone, so that the few small files that
are kept of a shipped model are enough.
"""

from __future__ import annotations

import base64
import html
import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from puncta.formats.atomic import AtomicFile, write_text_atomic
from puncta.formats.tune_words import name_figure, value_of
from puncta.recording.sheet import SAFETY_LINE
from puncta.training.pace import stages_of
from puncta.training.recipes import recipe_of
from puncta.training.report_charts import Chart, Series, draw_chart, svg_from_chart
from puncta.training.report_story import Story, describe_data, read_story, speeds, tell_state

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

_SHORT = {"within_5_percent": "tip near", "presence_auc": "presence"}
"""Names at the ends of lines, where room is scarce."""


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
        f'<p class="safe">{SAFETY_LINE}. {esc(_made(config))}; figures say nothing about real scanners.</p>',
        f'<p class="state">{esc(tell_state(story))}</p>'
        f'<div class="bar" role="progressbar" aria-valuenow="{100 * share:.0f}" aria-valuemin="0" '
        f'aria-valuemax="100" aria-label="samples seen"><div style="width:{100 * share:.1f}%"></div></div>',
        f'<div class="cards">{cards}</div>' if cards else "",
        f'<h2>How it goes</h2><div class="charts">{drawn}</div>',
        _pictures(folder, story.config.get("data", {})),
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


def _made(config: Mapping[str, Any]) -> str:
    """What is simulated of all that a training saw, as the beginning of a sentence."""
    words = recipe_of(config).made
    return words[:1].upper() + words[1:]


def _cards(story: Story) -> list[tuple[str, str]]:
    cards = []
    if story.tune:
        for name, value in story.tune[-1].get("metrics", {}).items():
            cards.append((name_figure(name), value_of(name, value)))
    if story.train:
        losses = [v for v in story.train[-1].get("losses", {}).values() if isinstance(v, int | float)]
        if losses:
            cards.append(("sum of losses", f"{sum(losses):.3g}"))
    if story.head.get("parameters"):
        cards.append(("weights", f"{story.head['parameters']:,}"))
    if story.rate:
        cards.append(("samples a second", f"{story.rate:.0f}"))
    return cards


def _others(data: Mapping[str, Any]) -> str:
    """Say what the pictures are of that are not simulated through and through."""
    given = f"frames of the data that it was given ({', '.join(data['datasets'])})" if data.get("datasets") else ""
    drawn = "simulated needles on real needle-free stills" if data.get("backgrounds") or not given else ""
    return f"The same for {' and '.join(w for w in (given, drawn) if w)}. These pictures stay in this folder."


def _pictures(folder: Path, data: Mapping[str, Any]) -> str:
    parts = []
    for name, words in (
        (PICTURES, "Pictures of the tune split, always the same frames, never trained on; all of them are simulated. "
                   "They are stretched to the square that the network sees. A tip counts as given from a presence of "
                   "0.5 on, and as near within 2 mm (5 % of the side where there are no millimetres); filter and "
                   "threshold of the program come after the training."),
        (COMPOSED, _others(data)),
    ):
        path = folder / name
        if path.exists():
            shown = base64.b64encode(path.read_bytes()).decode()
            parts.append(f'<p class="quiet">{words}</p><img alt="{html.escape(words)}" '
                         f'src="data:image/png;base64,{shown}">')
    return f"<h2>Validation pictures</h2>{''.join(parts)}" if parts else ""


def _data_section(config: Mapping[str, Any]) -> str:
    data = config.get("data", {})
    rows = [("trained on", "; ".join(describe_data(config)) or "not told")]
    told = [f"{data[k]:,} {word}" for k, word in
            (("tune_clips", "simulated cines"), ("tune_composites", "cines of drawn needles"),
             ("tune_still_cines", "cines of simulated needles in stills"),
             ("tune_steady_cines", "cines of drawn needles at rest"),
             ("tune_coarse_cines", "cines of made speckle")) if data.get(k)]
    rows.append(("tuned on", ", ".join(told) + ", other seeds" if told else "not told"))
    if data.get("frames"):
        rows.append(("frames a cine", str(data["frames"])))
    rows.append(("kept for testing", "machines D and E, seeds from 800,000 on, the false-alarm half of the stills"))
    return f"<h2>Data</h2>{_table(rows)}"


def _thresholds(story: Story) -> str:
    if not story.calibration:
        return ""
    figures = story.calibration.get("figures", {})
    rows = [(name_figure(k), value_of(k, v)) for k, v in figures.items()]
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
                                  [[f"{k:,}", *(value_of(n, m.get(n)) for n in figures)] for k, m in tuned.items()])
    return f"<h2>Numbers</h2><details><summary>Losses and figures as tables</summary>{body}</details>"


def _table(rows: Sequence[tuple[str, str]]) -> str:
    cells = (f'<tr><th scope="row">{html.escape(k)}</th><td>{html.escape(v)}</td></tr>' for k, v in rows)
    return f"<table>{''.join(cells)}</table>"


def _grid(names: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f'<th scope="col">{html.escape(n)}</th>' for n in names)
    body = "".join("<tr>" + "".join(f"<td>{html.escape(c)}</td>" for c in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
