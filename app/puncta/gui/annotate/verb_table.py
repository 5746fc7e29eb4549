"""The actions of Annotate by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from puncta.annotation.assignments import Work
from puncta.annotation.disputes import Answer
from puncta.gui.annotate.annotate_verbs import AnnotateVerbs

Verb = Callable[[AnnotateVerbs], object]

VERBS: Mapping[str, Verb] = {
    "accept": AnnotateVerbs.accept,
    "accept_range": AnnotateVerbs.accept_range,
    "reject": AnnotateVerbs.reject,
    "reject_range": AnnotateVerbs.reject_range,
    "next_doubt": AnnotateVerbs.next_doubt,
    "labelled_back": lambda verbs: verbs.go_labelled(-1),
    "labelled_on": lambda verbs: verbs.go_labelled(1),
    "propagate_on": lambda verbs: verbs.help.propagate(1),
    "propagate_back": lambda verbs: verbs.help.propagate(-1),
    "teach": lambda verbs: verbs.help.teach(),
    "help_stop": lambda verbs: verbs.help.stop(),
    "undo": AnnotateVerbs.undo,
    "redo": AnnotateVerbs.redo,
    "erase": AnnotateVerbs.erase,
    "wider": lambda verbs: verbs.wider(True),
    "narrower": lambda verbs: verbs.wider(False),
    "note": AnnotateVerbs.begin_note,
    "phase_next": AnnotateVerbs.next_phase,
    "ghost": lambda verbs: verbs.toggle("ghost"),
    "magnifier": lambda verbs: verbs.toggle("magnifier"),
    "snap": lambda verbs: verbs.toggle("snap"),
    "clip_next": lambda verbs: verbs.work.go(1),
    "clip_back": lambda verbs: verbs.work.go(-1),
    "clip_done": lambda verbs: verbs.work.settle(Work.DONE),
    "adjudicate": lambda verbs: verbs.adjudication.toggle(),
    "take_a": lambda verbs: verbs.adjudication.give(Answer.A),
    "take_b": lambda verbs: verbs.adjudication.give(Answer.B),
    "both_absent": lambda verbs: verbs.adjudication.give(Answer.ABSENT),
    "draw_own": lambda verbs: verbs.adjudication.draw_own(),
    "difference_back": lambda verbs: verbs.adjudication.next(-1),
    "readings_shown": lambda verbs: verbs.adjudication.turn(),
    "consensus_export": lambda verbs: verbs.adjudication.export(),
    "brighter": lambda verbs: verbs.gain(True),
    "darker": lambda verbs: verbs.gain(False),
}

OF_THE_VIEW = {"ghost", "magnifier", "snap", "brighter", "darker", "help_stop"}
"""What needs no labels."""


def do_verb(verbs: AnnotateVerbs, name: str) -> None:
    """Do an action; where no labels are open, say why it does nothing."""
    if name in OF_THE_VIEW or verbs.ready():
        VERBS[name](verbs)


def is_digit(name: str) -> bool:
    """Tell whether an action is a digit that is held."""
    kind, _, digit = name.partition("_")
    return kind in {"label", "absent"} and digit.isdigit()


def hold_digit(verbs: AnnotateVerbs, name: str, held: bool) -> None:
    """Follow a digit that is held."""
    kind, _, digit = name.partition("_")
    verbs.hold(digit, held=held, absent=kind == "absent")
