"""Sentences and gestures' names that the rooms below the window say of labels, in the language of the window.

They come filled in, some from a store that an earlier start of the program wrote, so they are known by their form.
"""

from __future__ import annotations

from puncta.core.errors import UserError
from puncta.gui import source_said
from puncta.gui.i18n import tr
from puncta.gui.models.said import OUTSIDE, told_of

SAID = (
    # gestures
    "Label {thing}",
    "Flag {thing}",
    "{thing} not visible",
    "Propose",
    "Take {rater}",
    "Settle",
    "Settle as absent",
    "Take over what agrees",
    # why a frame waits for a look
    "confidence {share}",
    "disagree {mm} mm",
    "tip moves {mm} mm at once",
    "a tip without a needle",
    "needle lost",
    "needle left here",
    "teaches, disputed",
    "teaches, doubted",
    "teaches, unlike",
    "teaches, a gap",
    # a tracker that has left its needle
    "From frame {index} on the tracker follows something else than the needle: {why}. Frames {first} to {last} stay "
    "open. Draw the needle on one of them, and what lies between is proposed.",
    "From frame {index} on the tracker follows another line than before: {why}. Which one is the needle, it does not "
    "know, so frames {first} to {last} stay open. Draw the needle on frame {start} and go on from there.",
    "From frame {index} on the tracker follows something else than the needle: {why}.",
    "From frame {index} on the tracker follows another line than before: {why}.",
    "On frame {index} the tracker finds something else than the needle that was drawn: {why}. Nothing is proposed. "
    "Draw it on one more frame, and what lies between is proposed.",
    "The tracker does not see the needle that was drawn on frame {index}; it may be too faint for it. Nothing is "
    "proposed. Draw it on one more frame, and what lies between is proposed.",
    "it lies across it, at {angle} degrees",
    "it lies {mm} mm beside it",
    "the two hardly overlap",
    "it turns by {angle} degrees at once",
    "it lies {mm} mm beside the needle of before",
    "its tip moves by {mm} mm at once",
    "in {count} frames it slides off the needle",
    "it lies {angle} degrees across the needle it began with",
    # two readings
    "{gap} apart",
    "{one} and {other} drew different kinds of things",
    "This is a blind reading: what others have labelled stays hidden until it is done.",
    # labels as files
    "{folder} is there already; name a new folder.",
    "{folder} cannot be written: {reason}.",
    "No folder can be made in {folder}; name another place.",
    *OUTSIDE,
    "There is no confirmed label of {rater} to export.",
    "There is no mask to export; other shapes go into dataset, coco, yolo or csv.",
    "Frame {index} of {case} has another time than the frame that was labelled; the clip is another one.",
    "Frame {index} of {case} shows other pixels than the frame that was labelled; the clip is another one.",
    "{case} has no frame {index}; the clip is another one.",
    "Nothing tells where the clip of {case} is; add it again by its file.",
    # what a store says
    "{thing} on frame {index} was changed meanwhile; nothing was overwritten, look at it again.",
    "the gesture it belongs to is not on the server",
    "The store at {place} cannot be opened: {why}.",
    "The store at {place} cannot be used: {why}.",
    "The store {place} cannot be used: {why}.",
    "The store {place} cannot be opened: {why}.",
    "The store at {place} does not answer: {why}.",
    "The server of the store at {place} does not allow '{name}' to do this; ask whoever runs it for the right to make "
    "and change its tables.",
    "its file or folder may not be written; change its permissions, or name another store",
    "its file or folder may not be opened; change its permissions, or name another store",
    "another program holds it; close that one, or try again",
    "the disk is full; make room",
    "its server does not let '{name}' in; check the name and the password in the address",
    "its server has no database '{name}'; check the address, or ask whoever runs the server",
    "its server has no user '{name}'; check the address, or ask whoever runs the server",
    "no computer called '{name}' is known here; check the name, or the network",
    "nothing listens at {place}; start the server there, or check the address",
    "{place} stays silent; check the network, or the address",
    "The store is of a newer Puncta (form {theirs}, this one knows {ours}); update Puncta.",
)
"""What is in braces differs from time to time; of two that begin alike the longer stands first."""


def told_error(error: Exception, otherwise: str) -> str:
    """Return what an error says to the user; ``otherwise`` where it is not meant for the user."""
    return told(str(error)) if isinstance(error, UserError) else otherwise


def told(sentence: str) -> str:
    """Return a sentence or a gesture's name in the language of the window; one of an unknown form stays as it is."""
    known = tr(sentence)
    return known if known != sentence else told_of(SAID, sentence) or source_said.told(sentence)
