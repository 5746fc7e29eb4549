"""In a German window what the program wrote into a model card is German, and numbers are written the German way."""

from __future__ import annotations

import pytest
from PySide6.QtCore import QCoreApplication

from puncta.gui.i18n import install_language, numbers
from puncta.gui.models.card_words import PIECES, learnt_words
from puncta.gui.models.made_words import short_data
from puncta.gui.models.said import form_of
from puncta.gui.models.words import difference_words, number_words, plain_figures
from puncta.inference.registry import Registry

SITE = (
    "1,200 labelled frames of ward-7, b (3 subjects, machine F and G, simulated); 1 labelled frame of c (1 subject, "
    "not simulated); 5 labelled frames of d (subjects not stated, not simulated); the split train of d; begun with the "
    "weights of tip_low; 900 simulated cines of machines A, B, breast, so that these are not forgotten; "
    "1,600 clips with needles drawn into needle-free frames of e; something else 0.5 of 1,000; "
    "every needle but those of the site's own frames is simulated or drawn"
)
GERMAN = (
    "1.200 beschriftete Bilder aus ward-7, b (3 Personen, Gerät F und G, simuliert); 1 beschriftetes Bild aus c "
    "(1 Person, nicht simuliert); 5 beschriftete Bilder aus d (Personen nicht angegeben, nicht simuliert); der Teil "
    "train von d; begonnen mit den Gewichten von tip_low; 900 simulierte Clips der Geräte A, B, breast, damit diese "
    "nicht vergessen werden; 1.600 Clips mit Nadeln, die in Bilder ohne Nadel aus e gezeichnet sind; something else "
    "0.5 of 1,000; jede Nadel außer denen der eigenen Bilder des Standorts ist simuliert oder gezeichnet"
)


@pytest.mark.usefixtures("german")
def test_what_the_program_wrote_is_german_and_what_it_does_not_know_stays() -> None:
    assert learnt_words(SITE) == GERMAN
    assert short_data(SITE).startswith("1.200 beschriftete Bilder")
    assert learnt_words("tip_polish: 1,800 simulated cines of machines A, B").startswith("tip_polish: 1.800 simulierte")


@pytest.mark.usefixtures("qapp")
def test_in_english_a_card_and_its_numbers_stand_as_they_are() -> None:
    install_language(QCoreApplication.instance(), "en")
    assert learnt_words(SITE) == SITE and numbers("1,800.5 s") == "1,800.5 s"


def test_every_piece_of_a_shipped_card_is_known() -> None:
    cards = [card for card in Registry.load().cards if card.origin == "shipped"]
    pieces = {piece for card in cards for piece in card.training_data.split("; ")}
    assert len(pieces) > 8
    plain = [piece.removeprefix("after it: ").removeprefix("tip_polish: ") for piece in pieces]
    assert [piece for piece in plain if form_of(PIECES, piece) is None] == []


@pytest.mark.usefixtures("german")
def test_figures_are_written_as_in_german() -> None:
    assert numbers("−1,800.5 of 12,345,678, 90 and 0.25") == "−1.800,5 of 12.345.678, 90 and 0,25"
    assert number_words(0.688, "%") == "68,8 %" and number_words(-0.05, "mm") == "−0,05 mm"
    assert difference_words(0.032, 0.01, 0.054, "%").startswith("+3,2 (+1,0 bis +5,4)")
    assert [value for _name, value in plain_figures({"tune_ap50": 0.688})] == ["68,8 %"]
