"""What the rooms below say of labels comes in the window's language: each sentence here is made by the code that says
it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import sqlalchemy as sa
from label_maker import do, key, make_case

from puncta.annotation.adjudicate import CONSENSUS, Difference, settle
from puncta.annotation.agreement import apart
from puncta.annotation.commands import Board, LabelConflict, draw, not_visible, propose, set_flag
from puncta.annotation.labels import Slot, TipLabel
from puncta.annotation.store import AnnotationStore
from puncta.annotation.store_refusals import unreachable
from puncta.core.errors import UserError
from puncta.gui.annotate.said import told
from puncta.gui.models.said import told as told_of_data
from puncta.session.label_exchange import export_labels, outside_consensus
from puncta.session.proposing import _strayed

pytestmark = pytest.mark.usefixtures("german")

TIP = TipLabel((5.0, 9.0))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[AnnotationStore]:
    with AnnotationStore.open(tmp_path / "store.sqlite") as store:
        yield store


@pytest.mark.parametrize(
    ("others", "words"),
    [
        (("anna",), "was anna auf 2 von 2 beschrifteten Bildern bestätigt hat, ist im Konsens"),
        (("anna", "bert"), "was anna und bert auf 2 von 2 beschrifteten Bildern bestätigt haben, ist im Konsens"),
    ],
)
def test_what_is_outside_a_consensus(store: AnnotationStore, others: tuple[str, ...], words: str) -> None:
    case = store.add_case(make_case())
    for rater in others:
        board = Board(case.id, rater)
        for index in (1, 2):
            do(store, board, draw(board, "needle_tip", key(index), TIP))
    assert words in told_of_data(outside_consensus(case, store.labels(case.id)))


@pytest.mark.parametrize(
    ("frames", "words"),
    [(1, "1 Merkmal oder Phase ist im Konsens nicht"), (2, "2 Merkmale oder Phasen sind im Konsens nicht")],
)
def test_flags_that_stay_out_of_a_consensus_by_themselves(store: AnnotationStore, frames: int, words: str) -> None:
    case = store.add_case(make_case())
    anna, both = Board(case.id, "anna"), Board(case.id, CONSENSUS)
    for index in range(frames):
        do(store, both, draw(both, "needle_tip", key(index), TIP))
    do(store, anna, set_flag(anna, "csf", 1, [key(index) for index in range(frames)]))
    assert words in told_of_data(outside_consensus(case, store.labels(case.id)))


def test_gestures_have_their_names_in_the_history() -> None:
    board = Board("c", "anna")
    drawn = draw(board, "needle_tip", key(1), TIP)
    assert drawn is not None
    board.apply(drawn)
    label = board.get(Slot(1, "needle_tip"))
    gestures = [
        drawn,
        not_visible(board, "needle_tip", key(1)),
        set_flag(board, "csf", 1, [key(1)]),
        propose(board, [draw(Board("c", "anna"), "needle_tip", key(2), TIP).changes[0].after]),
        settle(Board("c", CONSENSUS), Difference(Slot(1, "needle_tip"), label, None, 1.0, ""), "a", "cleo"),
    ]
    names = ["needle_tip beschriften", "needle_tip nicht sichtbar", "Merkmal csf", "Vorschlagen", "anna nehmen"]
    assert [told(gesture.title) for gesture in gestures if gesture is not None] == names
    assert told("Flag range") == "Bereich eines Merkmals"


def test_a_tracker_that_has_left_its_needle() -> None:
    why = "it lies 3.1 mm beside the needle of before"
    drawn, other = _strayed(9, 29, why, drawn=True), _strayed(9, 29, why, drawn=False)
    begin = "Ab Bild 9 folgt der Verfolger "
    assert told(drawn.what) == f"{begin}etwas anderem als der Nadel: es liegt 3.1 mm neben der Nadel von zuvor."
    assert told(str(drawn)).startswith(told(drawn.what)) and "Bilder 9 bis 29 bleiben offen" in told(str(drawn))
    assert told(other.what) == f"{begin}einer anderen Linie als zuvor: es liegt 3.1 mm neben der Nadel von zuvor."
    assert told(str(other)).endswith("Zeichnen Sie die Nadel auf Bild 9 und fahren Sie von dort fort.")


def test_how_far_two_readings_lie_apart() -> None:
    board = Board("c", "anna")
    one, other = (draw(board, "needle_tip", key(1), TipLabel((x, 9.0))).changes[0].after for x in (5.0, 26.0))
    assert told(apart(one, other, make_case())[1].partition(",")[0]) == "2.1 mm Abstand"


def test_labels_that_cannot_be_written(store: AnnotationStore, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "note.txt").write_text("x")
    case = store.add_case(make_case())
    said = []
    for folder in ("full", "new"):
        with pytest.raises(UserError) as error:
            export_labels(store, tmp_path / folder, "csv", [case], rater=CONSENSUS)
        said.append(told(str(error.value)))
    assert said[0].endswith("full gibt es schon; nennen Sie einen neuen Ordner.")
    assert said[1] == "Von consensus gibt es keine bestätigte Beschriftung zum Exportieren."


def test_what_a_store_does_not_take_and_one_that_is_not_reached(store: AnnotationStore) -> None:
    case = store.add_case(make_case())
    for rater_hand, last in ((Board(case.id, "anna"), False), (Board(case.id, "anna"), True)):
        gesture = draw(rater_hand, "needle_tip", key(1), TipLabel((5.0 + last, 9.0)))
        if not last:
            do(store, rater_hand, gesture)
            continue
        with pytest.raises(LabelConflict) as conflict:
            store.apply(gesture)
        assert told(str(conflict.value)).startswith("needle_tip auf Bild 1 wurde inzwischen geändert;")
    gone = unreachable(sa.make_url("postgresql://nurse@lab/x"), SimpleNamespace(orig="Connection refused"))
    assert told(str(gone)) == (
        "Der Speicher unter postgresql://nurse@lab/x antwortet nicht: "
        "unter lab:5432 hört niemand zu; starten Sie dort den Server, oder prüfen Sie die Adresse."
    )
