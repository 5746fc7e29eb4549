"""Sentences that the rooms below the window say of trainings, splits and models, in the language of the window.

They come filled in, some from files that an earlier start of the program wrote, so they are known by their form.
"""

from __future__ import annotations

import re
from functools import cache

from puncta.gui.i18n import tr

OUTSIDE = (
    "{case}: what {raters} have confirmed on {count} of {total} labelled frames is not settled in the consensus; no "
    "such frame goes out, not even in part. Settle it in Annotate, or name one rater by --rater.",
    "{case}: what {rater} has confirmed on {count} of {total} labelled frames is not settled in the consensus; no "
    "such frame goes out, not even in part. Settle it in Annotate, or name one rater by --rater.",
    "{case}: 1 flag or phase is not settled in the consensus and stays out by itself; all labelled frames go out.",
    "{case}: {count} flags or phases are not settled in the consensus and stay out by themselves; all labelled frames "
    "go out.",
)
"""What a consensus leaves out."""

SAID = (
    # a split
    "{count} cases without a subject stay together, for they may be the same person.",
    "There is only 1 subject, so whole cases are held out instead: the same person may be on both sides, and the "
    "comparison is weaker than it looks. Label a third subject, or state the subjects of the cases.",
    "There are only {count} subjects, so whole cases are held out instead: the same person may be on both sides, and "
    "the comparison is weaker than it looks. Label a third subject, or state the subjects of the cases.",
    "There is only 1 subject and 1 case, so nothing can be held out and no honest comparison is possible. "
    "Label cases of three subjects or more, or judge the model on another dataset.",
    "There is only 1 subject and {cases} cases, so nothing can be held out and no honest comparison is possible. "
    "Label cases of three subjects or more, or judge the model on another dataset.",
    "There are only {count} subjects and {cases} cases, so nothing can be held out and no honest comparison is "
    "possible. Label cases of three subjects or more, or judge the model on another dataset.",
    "There is only 1 subject, so whole cases are held out instead: the same person may be on both sides, and the "
    "comparison is weaker than it looks. Add recordings of a third subject, or state the subjects of the cases.",
    "There are only {count} subjects, so whole cases are held out instead: the same person may be on both sides, and "
    "the comparison is weaker than it looks. Add recordings of a third subject, or state the subjects of the cases.",
    "There is only 1 subject and 1 case, so nothing can be held out and no honest comparison is possible. "
    "Add recordings of three subjects or more, or judge the model on another dataset.",
    "There is only 1 subject and {cases} cases, so nothing can be held out and no honest comparison is possible. "
    "Add recordings of three subjects or more, or judge the model on another dataset.",
    "There are only {count} subjects and {cases} cases, so nothing can be held out and no honest comparison is "
    "possible. Add recordings of three subjects or more, or judge the model on another dataset.",
    "{data} has no confirmed label that the plugin {plugin} can learn from.",
    "{case} has labels of {raters} and no consensus; name one by --rater.",
    *OUTSIDE,
    # how a training ended
    "Paused. Resume goes on from the last checkpoint.",
    "Cancelled.",
    "It stopped with a checkpoint. Resume goes on from the last checkpoint.",
    "Its process was ended from outside. Resume goes on from the last checkpoint.",
    "It ended with status {status}. Resume goes on from the last checkpoint.",
    "The disk is full, so the training has stopped; make room, and resume goes on from the last checkpoint.",
    "It failed and did not say why.",
    "Something went wrong inside Puncta; this is our fault. The details are in {file}. Resume goes on from the last "
    "checkpoint.",
    "The disk is full, so the training has stopped; make room for {folder} and its clips, and press Resume.",
    "It runs already in another window of the program.",
    "The program was closed before it began.",
    "Its process ended before it was done; resume goes on.",
    "{why} There is no checkpoint yet, so Resume begins it anew.",
    "Paused.",
    "It has stopped.",
    "Its process was ended from outside.",
    "Its process ended before it was done.",
    "It ended with status {status}.",
    "The disk is full, so the training has stopped; make room.",
    "Something went wrong inside Puncta; this is our fault. The details are in {file}.",
    "The program ended before it began; resume begins it.",
    "The dataset {name} is not there any more, so it cannot go on.",
    # why a training cannot begin, or cannot be changed
    "Give the training a name.",
    'Training needs PyTorch, which is not installed here; install it with: pip install "puncta[train]" '
    "--extra-index-url https://download.pytorch.org/whl/cpu",
    "The part of the dataset {name} that teaches has {frames} labelled frames and needs {least}, {more} more: {needs}.",
    "The part of the dataset {name} that teaches has {frames} needle-free frames and needs {least}, {more} more: "
    "{needs}.",
    "The part of these labels that teaches has {frames} labelled frames and needs {least}, {more} more: {needs}.",
    "The part of these recordings that teaches has {frames} needle-free frames and needs {least}, {more} more: "
    "{needs}.",
    "Nothing is left of the recordings to learn from.",
    "{title} is left out: it is the same recording as {other}, which counts once.",
    "{title} is left out: it has fewer than {least} frames and is no single picture.",
    "{title} is left out: on {sure} of {looked} frames the present model is sure of a needle's tip. Look at it; if it "
    "shows a needle, label it instead.",
    "1 frame at which the present model is sure of a needle's tip, and {beside} beside them, are left out: {which}.",
    "{count} frames at which the present model is sure of a needle's tip, and {beside} beside them, are left out: "
    "{which}.",
    "1 frame at which the present model is sure of a needle's tip, and {beside} beside them, are left out.",
    "{count} frames at which the present model is sure of a needle's tip, and {beside} beside them, are left out.",
    "Nothing is left of the recordings that teach; add recordings of other persons, and make it again.",
    "Nothing is left of the recordings that tune; how much is kept is not tried on this machine.",
    "Nothing is left of the recordings that are held out, so no honest comparison is possible; add recordings of other "
    "persons, and make it again.",
    "The present model could not look for needles, so no frame is taken. {why} Check the plugin {id} and its model, "
    "then begin again.",
    "In the dataset {name} the subject {subject} is in the splits {splits}; a subject may be on one side only, so make "
    "the split again.",
    'The weights of "{model}" are not kept, so no training can begin with them.',
    "Stopped; no dataset was made.",
    "{name} is waiting already.",
    "{name} is running already.",
    "{name} is running; pause or cancel it first.",
    "{name} waits in another window of the program; cancel it there first.",
    "{name} waits in another window of the program; pause or cancel it there.",
    # a model put in use
    'The plugin "{plugin}" uses the model "{model}" already; nothing changes.',
    "Another Puncta changes the models in {folder} right now; try again in a moment.",
    'The file {file} does not match its recorded hash; it was changed or damaged and is not loaded. Install the model '
    '"{model}" again.',
    'The plugin "{plugin}" cannot start with the model "{model}": {why}',
    '{plugin} goes on with "{model}". {why}',
    "{plugin} stays as it is. {why}",
    "It has no model that could be switched.",
    "It could not be started with the other model; the log has the details.",
    # a comparison
    "The needles in the held out frames are drawn into them: found and missed tips say how the model reads this "
    "machine's tissue, and nothing of real needles.",
    "Everything here is simulated: the figures say nothing about real scanners or patients.",
    "The dataset was taken as a whole; a model that learnt from it looks better than it is.",
    "Whole cases are held out, not people: the same person may be among those learnt from, so the comparison is weaker "
    "than it looks.",
    "Fewer than {least} clips ({clips}) tell no difference from chance, so none is called.",
    "Of a machine with fewer than {least} clips no difference is called.",
    "All clips show one subject, so the intervals say nothing about another one.",
    "Of {tested} figures without a difference, one in twenty still looks better or worse by chance.",
    'With "{model}" the plugin failed on {frames} frames; they count as misses.',
)
"""What is in braces differs from time to time."""

WORDS = ("plugin", "recipe", "needs")
"""What is filled in there is itself a text of the program."""


def told(sentence: str) -> str:
    """Return a sentence, or one a line, in the language of the window; one of an unknown form stays as it is."""
    if "\n" in sentence:
        return "\n".join(told(line) for line in sentence.split("\n"))
    words = told_of(SAID, sentence)
    return sentence if words is None else words


def told_of(forms: tuple[str, ...], sentence: str) -> str | None:
    """Return a sentence in the language of the window; None where it has none of these forms."""
    found = form_of(forms, sentence)
    if found is None:
        return None
    form, parts = found
    return tr(form).format(**{name: _filled(forms, name, text) for name, text in parts.items()})


def form_of(forms: tuple[str, ...], sentence: str) -> tuple[str, dict[str, str]] | None:
    """Return the form that a sentence has, and what is filled in; None where it has none of these."""
    for form in forms:
        found = _pattern(form).fullmatch(sentence)
        if found is not None:
            return form, found.groupdict()
    return None


def _filled(forms: tuple[str, ...], name: str, text: str) -> str:
    if name == "why":
        return told_of(forms, text) or text
    if name == "raters":
        return text.replace(" and ", f" {tr('and')} ")
    return tr(text) if name in WORDS else text


@cache
def _pattern(form: str) -> re.Pattern[str]:
    parts = re.split(r"\{(\w+)\}", form)  # what stands, and the name of what differs, by turns
    return re.compile(
        "".join(f"(?P<{part}>.+?)" if n % 2 else re.escape(part) for n, part in enumerate(parts)), re.DOTALL
    )
