"""`puncta dataset looks`: sheets and table from a folder, and wrong words answered in one sentence."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from puncta.cli.main import main


def _stills(folder: Path, count: int) -> Path:
    folder.mkdir()
    rng = np.random.default_rng(2)
    for k in range(count):
        field = [cv2.GaussianBlur(rng.standard_normal((220, 260)).astype(np.float32), (0, 0), 3.0, None, 1.4)
                 for _ in range(2)]
        grey = 60 + 45 * np.log10(np.hypot(*field) / 0.2 + 1e-3)
        cv2.imwrite(str(folder / f"{k:02}.png"), np.clip(grey, 0, 255).astype(np.uint8))
    return folder


def test_sheets_table_and_numbers_are_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    real, out, numbers = _stills(tmp_path / "stills", 12), tmp_path / "sheets", tmp_path / "looks.json"
    code = main(["dataset", "looks", "--real", str(real), "--out", str(out), "--machines", "A", "--procedures", "nerve",
                 "--cines", "1", "--jobs", "1", "--no-auc", "--json", str(numbers)])
    assert code == 0
    assert {p.name for p in out.iterdir()} == {"machine-A.png", "looks.json", "looks.md"}
    document = json.loads(numbers.read_text("utf-8"))
    assert document["simulated"] is True and document["real"]["folders"] == {"stills": 12}
    assert set(document["cells"]) == {"A nerve"}
    text = numbers.read_text("utf-8") + numbers.with_suffix(".md").read_text("utf-8")
    assert str(tmp_path) not in text, "no path of this machine stands in what is kept"
    assert "not for clinical use" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        (["--machines", "A,H"], "no machine 'H'; there are A, B, C, D, E, F, G."),
        (["--procedures", "breats"], "nearest is 'breast'"),
        (["--cines", "0"], "--cines 0"),
        (["--json", "nowhere/looks.json"], "nowhere does not exist"),
    ],
)
def test_wrong_words_are_answered(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], answer: str
) -> None:
    out = tmp_path / "sheets"
    assert main(["dataset", "looks", "--real", str(tmp_path), "--out", str(out), *words]) == 2
    assert answer in capsys.readouterr().err
    assert not out.exists()


def test_too_few_stills_make_no_range(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    real = _stills(tmp_path / "stills", 3)
    assert main(["dataset", "looks", "--real", str(real), "--out", str(tmp_path / "sheets")]) == 2
    assert "Only 3 real pictures" in capsys.readouterr().err
