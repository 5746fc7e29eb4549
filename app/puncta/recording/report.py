"""A self-contained HTML report of one run: what was analysed, confidence or findings over time, a few pictures."""

from __future__ import annotations

import base64
import html
from collections.abc import Sequence
from pathlib import Path

import cv2
from numpy.typing import NDArray

from puncta.core.frame import SourceInfo
from puncta.core.overlay import OverlayScene
from puncta.core.results import Analysis, ClassResult, Detection
from puncta.formats.atomic import AtomicFile
from puncta.recording.report_flags import FlagTimeline, words_of
from puncta.recording.sheet import SAFETY_LINE, draw_sheet

_PICTURES = 4
_STYLE = """
body{font:15px/1.5 Inter,system-ui,sans-serif;color:#14181d;background:#f6f7f9;margin:0;padding:32px}
main{max-width:960px;margin:auto;background:#fff;border:1px solid #d5dbe1;border-radius:10px;padding:28px}
.safe{color:#5f5500;border:1px solid #d9cf6a;border-radius:8px;padding:8px 12px;background:#fffdf0}
table{border-collapse:collapse}td,th{text-align:left;padding:4px 18px 4px 0;font-variant-numeric:tabular-nums}
th{color:#4a5562;font-weight:500}img{max-width:100%;border-radius:6px;margin:6px 0}figcaption{color:#4a5562}
figure{margin:0 0 18px}h2{font-size:16px;margin-top:28px}
"""


class ReportWriter:
    """Collects what the report needs while frames pass, and writes it at `close`. An `AnalysisSink` with scenes."""

    def __init__(self, path: Path, info: SourceInfo) -> None:
        self.path = Path(path)
        self._file = AtomicFile(path)
        self._info = info
        self._points: list[tuple[float, float | None]] = []
        self._best: list[tuple[float, int, bytes, str]] = []
        self._flags = FlagTimeline()
        self._tips = False
        self._models: dict[str, str] = {}
        self._radii_mm: list[float] = []

    def put(self, analysis: Analysis, scene: OverlayScene) -> None:
        """Take one analysed frame with its scene."""
        self._models |= {o.plugin_id: o.model for o in analysis.outputs}
        tip = next((r for o in analysis.outputs for r in o.results if isinstance(r, Detection)), None)
        self._tips |= tip is not None
        found = self._flags.put(analysis)
        score = tip.score if tip is not None and tip.tip_px is not None else None
        self._points.append((analysis.frame.key.pts_ns / 1e9, score))
        sure = score if tip is not None or not found else _sureness(found)
        # Candidates: each frame surer than all before, and frames 0, 1, 2, 4, 8, ... where nothing is found at all.
        index = len(self._points) - 1
        if index & (index - 1) == 0 or (sure or 0.0) > max((b[0] for b in self._best), default=0.0):
            told = words_of(found) if found and tip is None else f"confidence {score or 0.0:.2f}"
            self._keep(analysis, scene, sure or 0.0, told)

    def _keep(self, analysis: Analysis, scene: OverlayScene, score: float, told: str) -> None:
        self._best.append((score, analysis.frame.key.index, _png(draw_sheet(analysis, scene)), told))
        self._best = sorted(self._best, key=lambda b: -b[0])[:_PICTURES]

    def finish(self) -> None:
        """Write the page, still under the temporary name; what can fail, fails here."""
        self._file.write(self._page())
        self._file.finish()

    def close(self) -> None:
        """Put the finished report in place."""
        self._file.commit()

    def discard(self) -> None:
        """Give up: leave no file behind. Does nothing after `close`."""
        self._file.discard()

    def _page(self) -> str:
        info, esc = self._info, html.escape
        found = [s for _, s in self._points if s is not None]
        share = f"{len(found)} of {len(self._points)} frames ({100 * len(found) / max(1, len(self._points)):.0f} %)"
        calibration = info.geometry.calibration
        scale = (
            f"{calibration.mm_per_px[0]:.4f} x {calibration.mm_per_px[1]:.4f} mm/px, from: {calibration.origin}"
            if calibration
            else "uncalibrated: lengths are in pixels"
        )
        rows = [
            ("Source", info.title),
            ("Material", "simulated" if info.simulated else "recorded"),
            ("Picture", f"{info.geometry.width_px} x {info.geometry.height_px} px"),
            ("Calibration", scale),
            ("Plugins and models", ", ".join(f"{p} ({m or 'no model'})" for p, m in self._models.items()) or "none"),
            *([("Needle tip found", share)] if self._of_needles else []),
            *self._flags.rows(),
        ]
        table = "".join(f"<tr><th>{esc(k)}</th><td>{esc(v)}</td></tr>" for k, v in rows)
        pictures = "".join(
            f'<figure><img alt="frame {i}" src="data:image/png;base64,{base64.b64encode(png).decode()}">'
            f"<figcaption>Frame {i}, {esc(told)}</figcaption></figure>"
            for _, i, png, told in sorted(self._best, key=lambda b: b[1])
        )
        charts = f"<h2>Confidence of the needle tip over time</h2>{self._chart()}" if self._of_needles else ""
        charts += f"<h2>Findings over time</h2>{self._flags.charts()}" if not self._flags.empty else ""
        return (
            f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Puncta: {esc(info.title)}</title>'
            f"<style>{_STYLE}</style><main><h1>{esc(info.title)}</h1><p class=safe>{SAFETY_LINE}</p>"
            f"<table>{table}</table>{charts}<h2>Pictures</h2>{pictures}</main></html>\n"
        )

    @property
    def _of_needles(self) -> bool:
        """A plugin looked for a needle's tip, or none said anything else."""
        return self._tips or self._flags.empty

    def _chart(self) -> str:
        """Inline SVG: confidence 0..1 over seconds; gaps where the tip is lost."""
        if len(self._points) < 2:
            return "<p>Too few frames for a chart.</p>"
        t0, t1 = self._points[0][0], self._points[-1][0]
        span = (t1 - t0) or 1.0
        runs: list[list[str]] = [[]]
        for t, score in self._points:
            if score is None:
                runs.append([])
            else:
                runs[-1].append(f"{40 + 840 * (t - t0) / span:.1f},{130 - 110 * score:.1f}")
        lines = "".join(
            f'<polyline fill="none" stroke="#0072b2" stroke-width="2" points="{" ".join(run)}"/>' for run in runs if run
        )
        axis = "".join(
            f'<line x1="40" x2="880" y1="{y}" y2="{y}" stroke="#d5dbe1"/><text x="32" y="{y + 4}" '
            f'text-anchor="end" font-size="11" fill="#4a5562">{label}</text>'
            for y, label in ((130, "0"), (75, "0.5"), (20, "1"))
        )
        ends = (
            f'<text x="40" y="148" font-size="11" fill="#4a5562">{t0:.1f} s</text>'
            f'<text x="880" y="148" font-size="11" text-anchor="end" fill="#4a5562">{t1:.1f} s</text>'
        )
        return f'<svg viewBox="0 0 900 155" role="img" aria-label="confidence over time">{axis}{lines}{ends}</svg>'


def _sureness(found: Sequence[ClassResult]) -> float:
    """How sure a picture's findings are together, 0..1: those that are withheld add nothing."""
    return sum(abs(2 * r.probability - 1) for r in found if r.value is not None) / len(found)


def _png(picture: NDArray) -> bytes:
    ok, data = cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    if not ok:
        raise RuntimeError("a picture could not be encoded as PNG")
    return data.tobytes()
