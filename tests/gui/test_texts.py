"""Every text of the window has its translation, and the compiled file is the one of the source."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
from PySide6.QtCore import QCoreApplication

from puncta.core import findings
from puncta.core.flags import FLAG_WORDS
from puncta.core.frame import CalibrationOrigin
from puncta.core.guidance import MISSES, OFF_PLAN, TARGET_LOST, TO_TARGET
from puncta.core.target import LOSS_WORDS
from puncta.formats.label_sets import label_sets_dir, read_label_set, shipped_label_sets
from puncta.gui import actions, sounds, source_said
from puncta.gui.annotate import adjudication, adjudication_panel, facts, things, worklist
from puncta.gui.annotate import said as labels_said
from puncta.gui.dialogs import export_labels
from puncta.gui.dialogs import settings as settings_dialog
from puncta.gui.dialogs import simulator as simulator_dialog
from puncta.gui.i18n import LANGUAGES, install_language, remove_language, tr
from puncta.gui.models import card_words, plan_words, said, split_bar, training_page
from puncta.gui.models import words as model_words
from puncta.gui.panels import (
    finding_rows,
    latency,
    layers_panel,
    read_outs,
    source_panel,
    steer_panel,
    top_bar,
    try_card,
)
from puncta.gui.steering import summary
from puncta.gui.steering import words as steering_words
from puncta.gui.video import stage as video_stage
from puncta.imaging.unfamiliar import EMPTY, NO_SPECKLE
from puncta.sdk.manifest import read_manifest
from puncta.session.figure_words import ROWS, title_and_unit
from puncta.session.procedures import PROCEDURES
from puncta.session.retrain_recipes import RECIPES


def texts_of_source(root: Path) -> set[str]:
    """Literals handed to `tr`, and the words of the tables that are translated when they are shown."""
    found: set[str] = set()
    for file in (root / "app" / "puncta" / "gui").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            is_call = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "tr"
            if is_call and isinstance(node.args[0], ast.Constant):
                found.add(node.args[0].value)
    for spec in actions.ACTIONS:
        found |= {spec.words, spec.group, spec.hint}
    tables = (
        settings_dialog.PROFILES,
        settings_dialog.THEMES,
        settings_dialog.PRESENTATIONS,
        layers_panel.LAYER_WORDS,
        source_panel.PROCEDURES,
        latency.DROP_WORDS,
        FLAG_WORDS,
        simulator_dialog.VIEW_WORDS,
        simulator_dialog.APPROACH_WORDS,
        simulator_dialog.HANDS_WORDS,
        steering_words.TISSUE_WORDS,
        LOSS_WORDS,
        steering_words.HIT_WORDS,
        steering_words.EVENT_WORDS,
        things.WAY_WORDS,
        things.WAY_HINTS,
        facts.STATE_WORDS,
        facts.VISIBILITY_WORDS,
        worklist.STATE_WORDS,
        model_words.STATE_WORDS,
        model_words.ASKED_WORDS,
        model_words.ORIGIN_WORDS,
        model_words.ORIGIN_SHORT,
        model_words.KIND_WORDS,
        model_words.VERDICT_WORDS,
        model_words.SET_WORDS,
        split_bar.SIDE_WORDS,
        training_page.LOSS_WORDS,
        training_page.SAMPLE_WORDS,
        plan_words.MOVED_WORDS,
        training_page.STAGE_WORDS,
        adjudication.SHOWN_WORDS,
        export_labels.KIND_WORDS,
    )
    for table in tables:
        found |= set(table.values())
    found |= {words for words, _unit in model_words.FIGURE_WORDS.values()}
    found |= {title_and_unit(name)[0] for name, *_rest, better in ROWS if better}
    found |= {words for recipe in RECIPES for words in (recipe.title, recipe.what, recipe.needs)}
    found |= {words for _name, words in (*top_bar.MODES, *try_card.THINGS, *adjudication_panel.ANSWERS)}
    found |= {words for row in (*steer_panel.HAND_KEYS, *steer_panel.HAND_VERBS) for words in row[1:]}
    found |= {words for row in steer_panel.HAND_MOUSE for words in row}
    found |= {words for _name, words in summary.NEXT}
    found |= {words for p in PROCEDURES for words in (p.title, p.target, p.advice)}
    found |= {TO_TARGET, MISSES, OFF_PLAN, TARGET_LOST, sounds.NO_PACKAGE, sounds.NO_DEVICE}
    found |= {origin.value for origin in CalibrationOrigin}
    found |= {*findings.FINDING_WORDS.values(), *findings.STATE_WORDS.values(), *findings.MEASURE_WORDS.values()}
    found |= {*findings.ADVICE_WORDS, "target interspace", "CSF yes, cord no", "not seen yet", "of a moment ago"}
    found |= {findings.heat_words(name, speaks=s) for name in ("quality", "cord", "csf") for s in (True, False)}
    found |= {findings.POOR_PICTURE, finding_rows.POOR_WHY}
    found |= {EMPTY, NO_SPECKLE, *said.SAID, *labels_said.SAID, *source_said.SAID}
    found |= {*card_words.PIECES, *card_words.KINDS, card_words.NO_SUBJECTS, card_words.AFTER}
    found |= words_of_label_sets()
    found |= words_of_plugin(root / "plugins" / "infant-lp")
    found |= {*read_outs.EXPECTED, video_stage.SAFETY_LINE}
    return found - {""}


def words_of_label_sets() -> set[str]:
    """What an annotator reads of the label sets that ship: titles, meanings, the lines of the protocol sheets."""
    found: set[str] = set()
    for name in shipped_label_sets():
        label_set = read_label_set(label_sets_dir() / f"{name}.json")
        parts = (*label_set.categories, *label_set.flags, *label_set.phases)
        found |= {label_set.title, *label_set.protocol}
        found |= {words for part in parts for words in (part.title, part.meaning)}
    return found


def words_of_plugin(folder: Path) -> set[str]:
    """Titles of a manifest, its choices, and the reasons and bases that its code gives."""
    manifest = read_manifest(folder)
    found = {manifest.title, *(option.title for option in manifest.options.values())}
    found |= {str(c) for option in manifest.options.values() for c in option.choices if c == "off"}
    for node in ast.parse((folder / "plugin.py").read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            found.add(node.value.value)
    return found - {"csf_depth", "needle_depth"}


def translations(root: Path, code: str) -> dict[str, str]:
    tree = ElementTree.parse(root / "resources" / "i18n" / f"puncta_{code}.ts")
    return {m.findtext("source"): m.findtext("translation") for m in tree.iter("message")}


@pytest.mark.parametrize("code", [code for code in LANGUAGES if code != "en"])
def test_every_text_is_translated(repo_root: Path, code: str) -> None:
    known = translations(repo_root, code)
    assert sorted(texts_of_source(repo_root) - set(known)) == []
    assert [source for source, words in known.items() if not words] == []


@pytest.mark.parametrize("code", [code for code in LANGUAGES if code != "en"])
def test_translations_keep_what_is_filled_in(repo_root: Path, code: str) -> None:
    for source, words in translations(repo_root, code).items():
        assert sorted(re.findall(r"\{[^}]*\}", source)) == sorted(re.findall(r"\{[^}]*\}", words)), source
        assert "!" not in words


@pytest.mark.parametrize("code", [code for code in LANGUAGES if code != "en"])
def test_the_compiled_translation_is_up_to_date(qapp: QCoreApplication, repo_root: Path, code: str) -> None:
    kept = install_language(qapp, code)
    try:
        assert {source: tr(source) for source in translations(repo_root, code)} == translations(repo_root, code)
    finally:
        remove_language(qapp, kept)
        install_language(qapp, "en")
    assert tr("Settings") == "Settings"


def test_no_text_shouts(repo_root: Path) -> None:
    assert [text for text in texts_of_source(repo_root) if "!" in text] == []


def test_keys_are_named_as_keyboards_name_them(qapp: QCoreApplication) -> None:
    named = {
        "Left": "←",
        "Shift+Right": "Shift →",
        "Ctrl+Shift+Down": "Ctrl+Shift ↓",
        "Return": "Enter",
        "Ctrl++": "Ctrl++",
    }
    assert {key: actions.key_words(key) for key in named} == named
