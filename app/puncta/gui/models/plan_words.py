"""What follows from a plan, in words: what is not as it should be, who changes sides, what it waits for, its name."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import date
from typing import TYPE_CHECKING

from PySide6.QtCore import QLocale

from puncta.gui.i18n import tr
from puncta.gui.models.said import told
from puncta.gui.models.split_bar import name_words
from puncta.gui.models.words import UNDER_WAY, list_words, time_words

if TYPE_CHECKING:
    from puncta.session.retrain import JobStatus, RetrainRecipe, SplitPlan, TrainingData

FEW_SUBJECTS = 5
"""Below so many held-in subjects a warning says that the model may fit them alone."""
MOVED_WORDS = {
    "train": "{name} now teaches",
    "tune": "{name} now sets thresholds",
    "test": "{name} is now held out",
}


def cautions(recipe: RetrainRecipe, split: SplitPlan, data: TrainingData | None) -> list[str]:
    """What is not as it should be, though it can begin."""
    found: list[str] = []
    frames = split.frames.get("train", 0)
    if recipe.least_frames <= frames < 2 * recipe.least_frames:
        found.append(tr("{frames} frames are few. Twice as many would teach it more surely.").format(frames=frames))
    if split.by == "subject" and len(split.train) < FEW_SUBJECTS:
        one = tr("It learns from 1 subject and may fit that one alone. Look at the held out ones before use.")
        many = tr("It learns from {count} subjects and may fit those alone. Look at the held out ones before use.")
        found.append(one if len(split.train) == 1 else many.format(count=len(split.train)))
    if split.honest and not split.frames.get("test", 0):
        found.append(tr("Nobody is held out, so the new model cannot be compared with the old one."))
    machines = sorted({case.machine for case in split.cases if case.machine})
    if len(machines) > 1:
        mixed = tr("Recordings of {count} machines ({names}) are mixed: it learns them all at once. The comparison "
                   "shows each by itself.")
        found.append(mixed.format(count=len(machines), names=list_words(machines)))
    if recipe.kind == "pretrain":
        found.append(tr("The comparison has drawn needles: it cannot tell how real ones are found."))
    if data is not None and data.simulated:
        found.append(tr("Simulated frames are among them: figures on these say nothing about patients."))
    return found


def thresholds_words(recipe: RetrainRecipe, split: SplitPlan) -> str:
    """Say what becomes of the thresholds where it is not what the split seems to say; "" where it is."""
    if recipe.kind == "lora":
        nobody = tr("This recipe sets thresholds on simulated infants in any case.")
        unused = tr("This recipe sets thresholds on simulated infants in any case; the frames of {names} are not used.")
        return unused.format(names=list_words([name_words(n) for n in split.tune])) if split.tune else nobody
    if split.tune:
        return ""
    if recipe.kind == "scratch":
        return tr("Nobody sets thresholds: they are set on simulated cines alone and may not fit this machine.")
    return tr("Nobody sets thresholds: those of the model that it goes on from stay, at most made more careful, and "
              "how much of what is learnt is kept is tried on simulated cines alone.")


def moved_words(roles: Mapping[str, Mapping[str, str]], split: SplitPlan) -> str:
    """Say in one line who has another role than before; "" for nobody."""
    titles = {case.id: case.title for case in split.cases} if split.by == "case" else {}
    before = roles.get(split.by, {})
    changes = [
        tr(MOVED_WORDS[side]).format(name=titles.get(name) or name_words(name))
        for name, side in split.roles.items()
        if before.get(name, side) != side
    ]
    words = tr("A role was left empty: {changes}. All others keep theirs.")
    return words.format(changes=list_words(changes, 3)) if changes else ""


def waits_words(jobs: Iterable[JobStatus]) -> str:
    """Say what a training that is begun now waits for, or shares the machine with; "" for nothing."""
    going = [job for job in jobs if job.state in UNDER_WAY]
    here, elsewhere = [job for job in going if job.here], [job for job in going if not job.here]
    if len(here) > 1:
        words = tr("{names} come first: this one begins when they have ended.")
        return words.format(names=list_words([job.name for job in here], 3))
    if here:
        first = here[0]
        words = tr("{name} comes first: this one begins when that has ended.")
        if first.state != "waiting" and first.left_s is not None:
            words = tr("{name} comes first: this one begins when that has ended, in about {time}.")
        return words.format(name=first.name, time=time_words(first.left_s))
    one = tr("{names} is under way in another window of the program: this one does not wait for that, and both take "
             "longer.")
    many = tr("{names} are under way in other windows of the program: this one does not wait for them, and all take "
              "longer.")
    words = many if len(elsewhere) > 1 else one
    return words.format(names=list_words([job.name for job in elsewhere], 3)) if elsewhere else ""


def usual_name(plugin: str, taken: Collection[str]) -> str:
    """Name a training after its plugin and the day, and number it where another one is called so."""
    today = QLocale().toString(date.today(), QLocale.FormatType.ShortFormat)  # type: ignore[call-overload]
    first = f"{plugin}, {today}"
    number, name = 1, first
    while name in taken:
        number += 1
        name = tr("{name}, no. {number}").format(name=first, number=number)
    return name


def problems_of(data: TrainingData | None) -> list[str]:
    """What of the data cannot be taken, in the language of the window."""
    return [] if data is None else [told(problem) for problem in data.problems]
