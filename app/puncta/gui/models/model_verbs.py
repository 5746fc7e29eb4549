"""What can be done in Models, which of it the page that is shown offers, and what is asked before."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from puncta.core.errors import UserError
from puncta.gui.i18n import tr
from puncta.gui.models.copy_words import what_goes
from puncta.gui.models.left_panel import MODEL, TRAINING, name_of
from puncta.gui.models.model_desk import COMPARING, MAKING
from puncta.gui.models.said import told
from puncta.gui.models.words import ASKED_WORDS, UNDER_WAY
from puncta.gui.modes.models import Verb

if TYPE_CHECKING:
    from puncta.gui.models.modeller import Modeller
    from puncta.gui.models.training_page import TrainingPage
    from puncta.inference.registry import ModelCard
    from puncta.session.retrain import JobStatus

ACTIONS = (
    "model_train", "model_use", "model_back", "training_start", "training_stop", "training_pause", "training_cancel",
    "training_remove", "models_back",
)


@dataclass(frozen=True, slots=True)
class Offer:
    """What the bar shows: words, how far something is, and buttons."""

    words: str = ""
    share: float | None = None
    verbs: tuple[Verb, ...] = ()


class ModelVerbs:
    """The verbs of one window's models."""

    def __init__(self, modeller: Modeller) -> None:
        self._m = modeller
        self._refused: tuple[object, str] = (None, "")
        """Data and recipe of the draft that could not begin."""
        self._elsewhere: dict[str, str] = {}
        """What was said of each plugin for which another program has put a model in use."""
        self._does: dict[str, Callable[[], object]] = {
            "model_use": self.use,
            "model_back": self.roll_back,
            "training_start": self.start,
            "training_stop": lambda: modeller.desk.stop_long(MAKING),
            "training_pause": self.pause,
            "training_cancel": self.cancel,
            "training_remove": self.remove,
            "models_back": lambda: modeller.back(),
        }

    def do(self, action: str) -> None:
        """Do an action of the table, if the page offers it."""
        if action == "model_train":
            self._m.plan()
        elif self._m.bar.can(action):
            self._does[action]()
        else:
            self._tell_why_not(action)

    # --- models ------------------------------------------------------------------------------------------------

    def use(self) -> None:
        """Put the model in use that is shown, or that the training has made."""
        card = self._m.card() or self._made(self._m.job())
        self._elsewhere = {}
        if card is not None:
            self._m.desk.promote(card, partial(self._used, card.plugin))

    def roll_back(self) -> None:
        """Take back what was put in use last."""
        card = self._m.card()
        self._elsewhere = {}
        if card is not None:
            self._m.desk.roll_back(card.plugin, partial(self._used, card.plugin))

    def _used(self, plugin: str) -> None:
        """A plugin has another model: what plays takes it without a restart."""
        m = self._m
        self._reload(plugin)
        family = m.desk.shelf.family(plugin) if m.desk.shelf is not None else None
        if family is not None and family.in_use is not None and m.shown[0] == MODEL:
            m.show_thing(MODEL, family.in_use.identity)
        m.show_training()

    def take_elsewhere(self, plugins: tuple[str, ...]) -> None:
        """Another program has chosen other models: they are taken as if they had been chosen here."""
        self._elsewhere = dict.fromkeys(plugins, "")
        for plugin in plugins:
            self._reload(plugin)
        self._m.show_training()

    def _reload(self, plugin: str) -> None:
        try:
            self._m.window.desk.reload_plugin(plugin)
        except UserError:  # not among those that this window runs
            self.tell_use(plugin)

    def tell_use(self, plugin: str) -> None:
        """Say which model a plugin uses now."""
        shelf = self._m.desk.shelf
        family = shelf.family(plugin) if shelf is not None else None
        if family is not None and family.in_use is not None:
            words = tr("{plugin} now uses: {model}.")
            words = words.format(plugin=tr(family.title), model=name_of(family.in_use))
            if plugin in self._elsewhere:
                self._elsewhere[plugin] = words  # one sentence would be gone as soon as the next plugin is told of
                changes = " ".join(said for said in self._elsewhere.values() if said)
                words = tr("Changed outside this window. {changes}").format(changes=changes)
            self._m.say(words)

    def _tell_why_not(self, action: str) -> None:
        """Answer a key that would change nothing; the line would still speak of the press before."""
        card, shelf = self._m.card(), self._m.desk.shelf
        family = shelf.family(card.plugin) if card is not None and shelf is not None else None
        if family is None or card is None or shelf is None:
            return
        if action == "model_use" and shelf.is_in_use(card):
            self._m.say(tr("{plugin} uses this model already; nothing changes.").format(plugin=tr(family.title)))
        elif action == "model_back" and not family.history:
            words = tr("No choice of a model for {plugin} counts, so there is nothing to take back.")
            self._m.say(words.format(plugin=tr(family.title)))

    def _made(self, job: JobStatus | None) -> ModelCard | None:
        shelf = self._m.desk.shelf
        return shelf.find(job.model) if job is not None and shelf is not None else None

    def made_words(self, job: JobStatus) -> str:
        """Say what has become of the model that a finished training has made."""
        card, shelf = self._made(job), self._m.desk.shelf
        if shelf is None:
            return ""
        if card is None:
            return tr("It has made {model}, which is not among the models here.").format(model=job.model)
        if shelf.is_in_use(card):
            return tr("{model} is there and in use.").format(model=job.model)
        return tr("{model} is there. It changes nothing until you put it in use.").format(model=job.model)

    # --- trainings ---------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin the training that is planned."""
        m = self._m
        draft = m.plan_page.draft()
        if draft is None:
            return
        m.trouble = ""

        def failed(error: Exception) -> None:
            m.plan_page.recordings.show_looked(m.desk.looked)
            self._refused = (m.plan_page.data, m.plan_page.recipe)
            m.trouble, *further = told(str(error)).split("\n")
            m.plan_page.recordings.show_left_out(further)
            m.follow()
            if not isinstance(error, UserError):
                raise error

        m.plan_page.recordings.show_left_out(())
        m.desk.start(draft, self._started, failed)

    def _started(self, job: str) -> None:
        """Show it, unless something else is looked at meanwhile."""
        if self._m.planning:
            self._m.show_thing(TRAINING, job)
            if self._m.on:  # the page that had the keys has gone: Space is for the training now
                self._m.left.focus_current()
        self._m.follow()

    def pause(self) -> None:
        """Pause the training that is shown, or go on with it."""
        job = self._m.job()
        if job is not None and job.state in UNDER_WAY:
            self._keep_keys()
            self._m.desk.trainings.pause(job.id)
        elif job is not None:
            self._m.desk.trainings.resume(job.id)

    def cancel(self) -> None:
        """Cancel the training that is shown, asked twice."""
        job = self._m.job()
        if self._sure("cancel") and job is not None:
            self._keep_keys()
            self._m.desk.trainings.cancel(job.id)
        self._m.follow()

    def remove(self) -> None:
        """Remove the training that is shown, asked twice."""
        job = self._m.job()
        if self._sure("remove") and job is not None:
            self._keep_keys()
            self._m.desk.remove_training(job, partial(self._removed, job))
        self._m.follow()

    def _removed(self, job: JobStatus, kept: Path | None = None) -> None:
        """Say it; the page has gone to its model, or to the one in use, already."""
        stays = tr("Removed {name}. The model it made stays.")
        words = stays if job.state == "done" and self._made(job) is not None else tr("Removed {name}.")
        said = [words.format(name=job.name)]
        if kept is not None:
            among = tr("Its labels are nowhere else, so they stay among your datasets, as {folder}.")
            said.append(among.format(folder=kept.name))
        self._m.say(" ".join(said))

    def lands_on(self, page: TrainingPage | None) -> str:
        """The model to show when the training of a page has gone: what it made, else the one its plugin uses."""
        job, shelf = page.job if page is not None else None, self._m.desk.shelf
        if job is None or shelf is None:
            return ""
        made = self._made(job) if job.state == "done" else None
        family = shelf.family(job.plugin)
        card = made or (family.in_use or family.cards[0] if family is not None else None)
        return card.identity if card is not None else ""

    def _keep_keys(self) -> None:
        """Buttons that go off, or away, leave the keys to the row and not to whatever comes next in the window."""
        there = self._m.window.focusWidget()
        if there is not None and self._m.bar.isAncestorOf(there):
            self._m.left.focus_current()

    def _sure(self, what: str) -> bool:
        """Whether it was asked before; else it is asked now."""
        sure = self._m.asking == what
        self._m.asking = "" if sure else what
        return sure

    def _what_goes(self, job: JobStatus) -> str:
        """Ask before a training is removed, and say what becomes of what it has made."""
        page = self._m.training_page
        if job.state != "done":
            words = tr("Remove this training with {what}? It has made no model yet.")
        elif self._made(job) is None:
            words = tr("Remove this training with {what}? Its model is gone already, so nothing of it stays.")
        elif page is None or page.comparison.comparison is None:
            words = tr("Remove this training with {what}? The model it made stays.")
        else:
            words = tr("Remove this training with {what}? The model it made stays, with this comparison on its page.")
        return words.format(what=what_goes(job))

    # --- what is offered ---------------------------------------------------------------------------------------

    def offer(self) -> Offer:
        """What the page that is shown offers."""
        m = self._m
        card, job = m.card(), m.job()
        if card is not None:
            return Offer(verbs=tuple(self._of_model(card)))
        if m.planning:
            return self._of_plan()
        return self._of_training(job) if job is not None else Offer()

    def _of_model(self, card: ModelCard) -> list[Verb]:
        m, verbs = self._m, []
        shelf = m.desk.shelf
        family = shelf.family(card.plugin) if shelf is not None else None
        if shelf is None or family is None:
            return []
        used = shelf.is_in_use(card)
        recipes = [recipe for recipe in m.desk.trainings.recipes if recipe.plugin == card.plugin]
        if recipes:
            adapts = any(recipe.kind == "lora" for recipe in recipes)
            verbs.append(Verb("model_train", tr("Adapt to this site") if adapts else tr("Retrain from this")))
        if used and family.history:
            verbs.append(Verb("model_back", tr("Go back to the one before")))
        if not used:
            verbs.append(Verb("model_use", tr("Use this model"), primary=True))
        return verbs

    def _of_plan(self) -> Offer:
        m = self._m
        kind, done, total = m.desk.progress
        if kind == MAKING:
            stop = (Verb("training_stop", tr("Stop")),)
            return Offer(tr("Making the dataset"), done / total if total else 0.0, stop)
        if m.trouble and self._refused != (m.plan_page.data, m.plan_page.recipe):
            m.trouble = ""  # it was said of another choice
        obstacle = m.plan_page.obstacle()
        start = Verb("training_start", tr("Start"), primary=True, enabled=not obstacle, why=obstacle)
        return Offer(m.trouble or obstacle, None, (Verb("models_back", tr("Leave")), start))

    def _of_training(self, job: JobStatus) -> Offer:
        m = self._m
        if m.asking == "cancel":
            sure = (
                Verb("training_cancel", tr("Cancel it")), Verb("models_back", tr("Go on training"), primary=True),
            )
            return Offer(tr("Cancel this training? What it has learnt is not used."), None, sure)
        if m.asking == "remove":
            sure = (Verb("training_remove", tr("Remove it")), Verb("models_back", tr("Keep it"), primary=True))
            return Offer(self._what_goes(job), None, sure)
        asked = m.desk.trainings.asked.get(job.id, "")
        if asked:
            words = tr(ASKED_WORDS[asked])
            verbs = (("training_cancel", tr("Cancel"), False), ("training_pause", tr("Pause"), True))
            return Offer(words, None, tuple(Verb(*verb, enabled=False, why=words) for verb in verbs))
        if job.state in UNDER_WAY:
            pause = Verb("training_pause", tr("Pause"), primary=True)
            return Offer(verbs=(Verb("training_cancel", tr("Cancel")), pause))
        remove = Verb("training_remove", tr("Remove"))
        if job.state == "cancelled":
            return self._of_cancelled(job, remove)
        if job.state != "done":
            words = tr("Resume goes on from its last checkpoint.")
            anew = tr("There is no checkpoint yet, so Resume begins it anew.")
            resume = Verb("training_pause", tr("Resume"), primary=True)
            return Offer(words if job.checkpoint else anew, None, (remove, resume))
        kind, done, total = m.desk.progress
        compares = kind == COMPARING
        said = tr("Comparing on the held out frames") if compares else ""
        share = (done / total if total else 0.0) if compares else None
        card, shelf = self._made(job), m.desk.shelf
        if card is None or shelf is None:
            return Offer(said, share, (remove,))
        used = shelf.is_in_use(card)
        words = tr("In use") if used else tr("Use this model")
        return Offer(said, share, (remove, Verb("model_use", words, primary=not used, enabled=not used)))

    @staticmethod
    def _of_cancelled(job: JobStatus, remove: Verb) -> Offer:
        """Nothing is expected of it any more; whoever has changed their mind is told what they would get."""
        kept = tr("Its last checkpoint is kept until you remove it; Resume would go on from there.")
        nothing = tr("It was cancelled before its first checkpoint; nothing of it is used.")
        again = tr("Resume") if job.checkpoint else tr("Start it anew")
        return Offer(kept if job.checkpoint else nothing, None, (Verb("training_pause", again), remove))
