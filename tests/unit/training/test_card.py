"""The card of a model made here speaks plain words."""

from __future__ import annotations

import json
import re
from pathlib import Path

from puncta.formats.tune_words import name_figure, value_of
from puncta.training.card import card_of, learnt_from

ENTRY = {
    "id": "needle-tip-site", "version": "1", "plugin": "needle-tip", "recipe": "puncta train tip_site",
    "training_data": "labels", "precision": "fp32", "licence": "Apache-2.0",
}
HEAD = {"config": {"name": "tip_site", "title": "Tip detector adapted to one site"}, "parameters": 620_311}
FIGURES = {
    "frames": 1263.0, "site_frames": 1.0, "shown_of_tips": 0.613, "median_error_mm": 0.1391, "threshold_raised": 0.0,
    "circle_widened": 1.0, "share_kept": 0.4, "known_hits_before": 0.6076, "known_alarms_before": 17.0,
    "known_alarms_after": 1.0, "site_loss_after": 0.31, "unheard_of": 0.5,
}


def test_a_site_models_card_names_its_figures_in_words_with_their_units() -> None:
    text = card_of(ENTRY, HEAD, {"figures": FIGURES})
    rows = dict(re.findall(r"^\| (.+?) \| (.+?) \|$", text.split("## Figures")[1], re.MULTILINE))
    assert rows["Tips that are shown"] == "61.3 %" and rows["Tip error, median"] == "0.139 mm"
    assert rows["Frames judged"] == "1,263"
    assert rows["Labelled frames of the site that it learnt from"] == "1"
    assert rows["Tips shown within 2 mm, machines known before, before adapting"] == "60.8 %"
    assert rows["False alarms, machines known before, after it"] == "1"
    assert rows["Circles widened, times"] == "1" and rows["Loss at the site, after it"] == "0.31"
    assert rows["Unheard of"] == "50.0 %"
    assert not re.search(r"[a-z]_[a-z]", "".join(rows))


def test_every_figure_of_the_models_that_ship_has_words(repo_root: Path) -> None:
    files = sorted((repo_root / "models" / "runs").glob("*/calibration.json"))
    names = {name for file in files for name in json.loads(file.read_text(encoding="utf-8"))["figures"]}
    assert len(names) > 50
    assert sorted(name for name in names if "_" in name and name_figure(name) == name.replace("_", " ")) == []


def test_one_is_one() -> None:
    assert learnt_from("here", 1, 1, (), False).startswith("1 labelled frame of here (1 subject, ")
    assert learnt_from("here", 2, 3, (), False).startswith("2 labelled frames of here (3 subjects, ")


def test_a_value_has_the_unit_that_its_name_tells() -> None:
    assert value_of("median_angle_error_deg", 0.42) == "0.42°" and value_of("presence_auc", 0.98) == "0.98"
    assert value_of("ece", 0.0154) == "1.5 %" and value_of("frames", None) == "-"
