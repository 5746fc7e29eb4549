"""What a model card says that the program itself has written, in the language of the window, piece by piece.

A card is a file and stays English. What somebody else has written into one is shown as it stands.
"""

from __future__ import annotations

import re

from puncta.gui.i18n import numbers, tr
from puncta.gui.models.said import form_of

PIECES = (
    "{amount} simulated cines of machines {names}, so that these are not forgotten",
    "{amount} simulated cines of machines {names}",
    "{amount} cines of drawn needles on needle-free stills ({names})",
    "{amount} cines of drawn needles at rest in such stills",
    "{amount} cines of simulated needles in needle-free stills ({names})",
    "{amount} cines of simulated needles in such stills ({part} of them in the second leg)",
    "{amount} cines of simulated needles in such stills",
    "{amount} cines of made speckle as coarse probes show it",
    "the needle-free ones of {amount} cines of such stills",
    "{amount} clips with needles drawn into needle-free frames of {names}",
    "the datasets {names} (split train)",
    "the datasets {names}",
    "the split train of {names}",
    "{amount} labelled frames of {names} ({subjects}, machine {machines}, {kind})",
    "{amount} labelled frames of {names} ({subjects}, {kind})",
    "{amount} labelled frame of {names} ({subjects}, machine {machines}, {kind})",
    "{amount} labelled frame of {names} ({subjects}, {kind})",
    "{amount} simulated infant spines of machines {names}, {part} frames each, with flags by the simulator's rules",
    "as pictures of no spine {amount} simulated ones of {names}, and made phantoms and screens",
    "needle-free stills of nerves ({names}, half by hash) as pictures of no spine and for tones and grain",
    "begun with the weights of {names}",
    "every needle is simulated or drawn",
    "every needle but those of the site's own frames is simulated or drawn",
    "every infant's spine is simulated",
)
"""What is in braces differs from card to card."""
KINDS = ("simulated", "not simulated")
NO_SUBJECTS = "subjects not stated"
AFTER = "after it"


def learnt_words(data: str) -> str:
    """Return what a model has learnt from; pieces that the program does not know stay as they are."""
    return "; ".join(_piece(piece) for piece in data.split("; "))


def _piece(piece: str) -> str:
    before, colon, rest = piece.partition(": ")
    if colon and re.fullmatch(rf"{AFTER}|\w+", before):  # a training before this one, by its name
        return f"{tr(AFTER) if before == AFTER else before}: {_piece(rest)}"
    found = form_of(PIECES, piece)
    if found is None:
        return piece
    form, parts = found
    return tr(form).format(**{name: _part(name, text) for name, text in parts.items()})


def _part(name: str, text: str) -> str:
    if name in ("amount", "part"):
        return numbers(text)
    if name == "subjects":
        number = re.fullmatch(r"(\d+) subjects?", text)
        if number is None:
            return tr(NO_SUBJECTS) if text == NO_SUBJECTS else text
        return tr("1 subject") if number[1] == "1" else tr("{count} subjects").format(count=number[1])
    if name == "machines":
        return text.replace(" and ", f" {tr('and')} ")
    return tr(text) if text in KINDS else text
