"""Sheets of simulated pictures beside real ones, and the table of how they measure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from puncta.session.looks import JUDGED, LookPicture, RealRange

WAYS = ("raw", "normalised", "half")
"""How the network sees patches."""
TILE_PX = (360, 330)
COLUMNS = 3
ROWS = 4
Grey = NDArray[np.uint8]

TITLES = {
    "grey_p50": "median grey",
    "grey_p95": "95th percentile of grey",
    "speckle_lateral_px": "speckle width, lateral [px]",
    "speckle_axial_px": "speckle width, axial [px]",
    "slope": "spectral slope",
    "grain": "grain (deviation / mean)",
    "contrast": "contrast between patches",
    "gradient": "gradient / mean [1/px]",
    "gradient_tail": "kurtosis of vertical gradient",
    "layering": "vertical / horizontal gradient power",
    "histogram": "grey histogram, distance to the real one [grey levels]",
}


def make_tile(picture: Grey, caption: str) -> Grey:
    """Fit a picture into a tile with its caption above."""
    w, h = TILE_PX
    scale = min(w / picture.shape[1], (h - 18) / picture.shape[0])
    size = (max(1, int(picture.shape[1] * scale)), max(1, int(picture.shape[0] * scale)))
    kind = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    tile = np.zeros((h, w), np.uint8)
    tile[18 : 18 + size[1], : size[0]] = cv2.resize(picture, size, interpolation=kind)
    cv2.putText(tile, caption[:52], (3, 13), cv2.FONT_HERSHEY_SIMPLEX, 0.4, 200, 1, cv2.LINE_AA)
    return tile


def lay_sheet(left: Sequence[LookPicture], right: Sequence[LookPicture]) -> Grey:
    """Lay simulated pictures (left) beside real ones (right) with a bar between."""
    count = min(ROWS, max(1, -(-max(len(left), len(right)) // COLUMNS)))

    def block(pictures: Sequence[LookPicture], word: str) -> Grey:
        tiles = [make_tile(p.pixels, f"{word}: {p.group if word == 'simulated' else ''} {p.name}") for p in pictures]
        tiles = tiles[: count * COLUMNS]
        tiles += [np.zeros(TILE_PX[::-1], np.uint8)] * (count * COLUMNS - len(tiles))
        return np.vstack([np.hstack(tiles[i : i + COLUMNS]) for i in range(0, len(tiles), COLUMNS)])

    a, b = block(left, "simulated"), block(right, "real")
    return np.hstack([a, np.full((a.shape[0], 6), 128, np.uint8), b])


def write_sheets(
    folder: Path, machines: Sequence[str], shown: Sequence[LookPicture], real: Sequence[LookPicture]
) -> list[Path]:
    """Write one sheet a machine, its pictures beside real ones of every folder in turn."""
    written = []
    picks = np.linspace(0, len(real) - 1, min(len(real), COLUMNS * ROWS * max(1, len(machines)))).astype(int)
    for k, machine in enumerate(machines):
        left = [p for p in shown if p.group.split()[0] == machine]
        right = [real[i] for i in picks[k :: len(machines)]]
        path = folder / f"machine-{machine}.png"
        cv2.imwrite(str(path), lay_sheet(left, right))
        written.append(path)
    return written


def tell_table(document: Mapping[str, Any]) -> str:
    """Write the document of `puncta dataset looks` as Markdown."""
    lines = [
        "# How the simulated pictures look beside real ones",
        "",
        "Written by `puncta dataset looks`; the figures as a file: `looks.json`. Simulated pictures are needle-free and"
        f" without screen furniture, {document['cines']} subjects of each procedure on each machine, seeds from"
        f" {document['first_seed']}. Real pictures: "
        + ", ".join(f"{n} of `{name}`" for name, n in document["real"]["folders"].items())
        + ". No real picture is shipped.",
        "",
        "A figure is inside (yes) where the median picture of a cell lies between the 5th and the 95th percentile of"
        " the real pictures, one picture one value. The histogram is inside where the pooled one of a cell is no"
        " farther from the pooled real one than 95 % of the real pictures are.",
        "",
        "## Told apart by a small network",
        "",
    ]
    lines += _auc_lines(document)
    lines += ["", "## Cells inside the real range", "", "| | real 5 / 50 / 95 % | "
              + " | ".join(document["machines"]) + " |", "|---|---|" + "---|" * len(document["machines"])]
    for name in ("histogram", *JUDGED):
        row = [TITLES[name], _range_words(document["real"], name)]
        for machine in document["machines"]:
            cells = [document["cells"][f"{machine} {p}"][name]["inside"] for p in document["procedures"]]
            row.append(f"{sum(cells)} of {len(cells)}")
        lines.append("| " + " | ".join(row) + " |")
    lines += ["", "## Every cell", "", "| machine, procedure | " + " | ".join(("histogram", *JUDGED)) + " |",
              "|---|" + "---|" * (1 + len(JUDGED))]
    for name, cell in document["cells"].items():
        values = [_cell_words(cell["histogram"]["distance"], cell["histogram"]["inside"])]
        values += [_cell_words(cell[key]["median"], cell[key]["inside"]) for key in JUDGED]
        lines.append(f"| {name} | " + " | ".join(values) + " |")
    return "\n".join(lines) + "\n"


def _auc_lines(document: Mapping[str, Any]) -> list[str]:
    told = document.get("auc")
    if not told:
        return ["Not measured: it needs PyTorch (the `train` extra), or was left out with `--no-auc`."]
    lines = [
        "Area under the ROC curve of a network of 25,000 weights on patches of 64 x 64 px of lit tissue, five folds"
        " split by file and subject; 95 % intervals over files. Raw: grey levels as they are. Normalised: brightness"
        " and contrast of each patch removed. Half: normalised, at half the resolution, where noise, resampling and"
        " compression at the pixel's scale are gone. 0.5 is chance. Rows that begin with \"real\" are a yardstick: two"
        " folders of real pictures told apart by the same network.",
        "",
        "| | raw | normalised | half |",
        "|---|---|---|---|",
    ]
    for name, pair in told.items():
        words = [f"{pair[k]['auc']:.3f} ({pair[k]['low']:.3f} .. {pair[k]['high']:.3f})" for k in WAYS]
        lines.append(f"| {name} | " + " | ".join(words) + " |")
    return lines


def _range_words(real: Mapping[str, Any], name: str) -> str:
    if name == "histogram":
        return f"within {real['histogram_limit']:.1f}"
    return " / ".join(f"{real[key][name]:.3g}" for key in ("low", "middle", "high"))


def _cell_words(value: float | None, inside: bool) -> str:
    return "-" if value is None else f"{value:.3g} {'yes' if inside else '**no**'}"


def real_document(real: RealRange, folders: Mapping[str, int]) -> dict[str, Any]:
    """Return the numbers of the real pictures for the file."""
    from puncta.session.looks import rounded

    return {
        "folders": dict(folders), "pictures": real.pictures, "low": rounded(real.low), "middle": rounded(real.middle),
        "high": rounded(real.high), "histogram": [round(float(v), 5) for v in real.histogram],
        "histogram_limit": round(real.distance_high, 2),
    }
