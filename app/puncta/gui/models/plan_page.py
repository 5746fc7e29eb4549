"""A new training, planned: what to learn from, how, who is held out, how long it will take, what is wrong with it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QButtonGroup, QComboBox, QLineEdit, QVBoxLayout, QWidget

from puncta.core.errors import UserError
from puncta.gui.i18n import tr
from puncta.gui.models.base_note import BaseNote, fill_bases
from puncta.gui.models.case_choice import CaseChoice
from puncta.gui.models.data_words import (
    datasets_folder,
    recordings_to_choose,
    second_of,
    title_of,
    unread,
    without_labels_elsewhere,
)
from puncta.gui.models.model_desk import Draft, ModelDesk
from puncta.gui.models.page_parts import Choice, Notes, Page, Title, choice_box, empty, heading, wrapped
from puncta.gui.models.plan_words import (
    cautions,
    moved_words,
    problems_of,
    thresholds_words,
    usual_name,
    waits_words,
)
from puncta.gui.models.recording_choice import RecordingChoice
from puncta.gui.models.said import told
from puncta.gui.models.split_bar import SplitBar
from puncta.gui.models.words import KIND_WORDS, minutes_words
from puncta.gui.theme import Theme

if TYPE_CHECKING:
    from puncta.session.retrain import Estimated, RetrainRecipe, SplitPlan, TrainingData


class PlanPage(Page):
    """Asks four things, and says what follows from the answers.

    Signals
    -------
    changed
        `draft` or what stands in its way is another one.
    """

    changed = Signal()

    def __init__(self, desk: ModelDesk, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(theme, tr("A new training"), parent)
        self._desk = desk
        self.plugin, self.base, self.recipe = "", "", ""
        self.data: TrainingData | None = None
        self.split: SplitPlan | None = None
        self._whole: TrainingData | None = None
        self._roles: dict[str, dict[str, str]] = {}
        """Side that each person, or case, was given first; they keep it as others come and go."""
        self.estimated: Estimated | None = None
        self._problem = self._refused = ""
        self._by_recordings = False
        self._without_labels: bool | None = None
        self._named = False
        self._asked = self._times_asked = 0
        self.title = Title(theme)
        self.title.show_title(
            tr("A new training"),
            tr("It runs in a process of its own while you go on, and changes nothing until you put its model in use."),
            (),
        )
        self.plugins = choice_box(tr("For"))
        self.plugins.activated.connect(lambda i: self.choose_plugin(self.plugins.itemData(i)))
        self.bases = choice_box(tr("Goes on from"))
        self.bases.activated.connect(lambda i: self.choose_base(self.bases.itemData(i)))
        self._base_head = heading(tr("Goes on from"))
        self.base_note = BaseNote(desk)
        self._data_box, self._recipe_box = QWidget(), QWidget()
        self._data_column, self._recipe_column = QVBoxLayout(self._data_box), QVBoxLayout(self._recipe_box)
        for column in (self._data_column, self._recipe_column):
            column.setContentsMargins(0, 0, 0, 0)
            column.setSpacing(3)
        self._data_group, self._recipe_group = QButtonGroup(self), QButtonGroup(self)
        self.choices: dict[str, Choice] = {}
        self.no_data = wrapped("", "quiet")
        self.damaged = Notes(theme)
        self.cases = CaseChoice(self._learn_from)
        self.cases.hide()
        self.recordings = RecordingChoice(theme, self._take_recordings, desk.read_recordings)
        self.recordings.hide()
        self.elsewhere = wrapped("", "quiet")
        self.split_bar = SplitBar(theme)
        self.time, self.waits = wrapped("", ""), wrapped("", "")
        self.warnings = Notes(theme)
        self.name = QLineEdit()
        self.name.setAccessibleName(tr("Name of the training"))
        self.name.textEdited.connect(self._name_it)
        for part in (
            self.title, heading(tr("For")), self.plugins, heading(tr("Learn from")), self.no_data,
            self._data_box, self.damaged, self.cases, self.recordings,
            heading(tr("How")), self._recipe_box, self.elsewhere, self._base_head, self.bases, self.base_note,
            heading(tr("Who is held out")), self.split_bar, heading(tr("Time")), self.time, self.waits, self.warnings,
            heading(tr("Name")), self.name,
        ):
            narrow = isinstance(part, QComboBox)
            self.column.addWidget(part, 0, Qt.AlignmentFlag.AlignLeft if narrow else Qt.AlignmentFlag(0))
        self.column.addStretch(1)
        desk.data_changed.connect(self._show_data)
        desk.trainings.changed.connect(self._show_waits)

    # --- what is asked -----------------------------------------------------------------------------------------

    def begin(self, plugin: str, base: str = "") -> None:
        """Plan a training for a plugin, going on from a model; "" takes the one in use."""
        shelf = self._desk.shelf
        self.plugins.clear()
        for family in shelf.families if shelf is not None else ():
            if any(recipe.plugin == family.plugin for recipe in self._desk.trainings.recipes):
                self.plugins.addItem(tr(family.title), family.plugin)
        known = [self.plugins.itemData(i) for i in range(self.plugins.count())]
        self._named = False
        self.data = None
        self.recordings.forget_looked()  # another model may be in use by now
        self.choose_plugin(plugin if plugin in known else next(iter(known), plugin), base)
        self._desk.fetch_data()
        self.bring_up()

    def choose_plugin(self, plugin: str, base: str = "") -> None:
        """Train a model for another plugin."""
        self.plugin, self._without_labels = plugin, None
        self.recipe = ""  # the one of the plugin before does not go with the models of this one
        self.plugins.setCurrentIndex(max(0, self.plugins.findData(plugin)))
        fill_bases(self.bases, self._desk.shelf, plugin)
        self.choose_base(base if self.bases.findData(base) >= 0 else self.bases.itemData(0) or "")
        self._show_recipes()
        self._show_data()

    def choose_base(self, base: str) -> None:
        """Go on from another model."""
        self.base = base
        self.bases.setCurrentIndex(max(0, self.bases.findData(base)))
        if self.recipe:
            self._ask_time()

    def choose_recipe(self, recipe: str) -> None:
        """Train in another way."""
        self.recipe = recipe
        chosen = self.chosen_recipe()
        needs = chosen is not None and chosen.needs_base
        self._base_head.setVisible(needs)
        self.bases.setVisible(needs)
        self._ask_time()
        self.split_bar.show_notes(self._split_notes())
        if chosen is not None:
            fitting = (d for d in self._fitting() if d.needle_free == (chosen.kind == "pretrain"))
            self._match(self._without_labels, chosen.kind == "pretrain", (f"data {d.id}" for d in fitting))

    def _ask_time(self) -> None:
        self.estimated, self._refused = None, ""
        self.base_note.show_base("" if self.bases.isHidden() else self.base)
        self._times_asked += 1
        number = self._times_asked
        self._tell()
        self._desk.estimate(self.recipe, self.base, partial(self._take_time, number), partial(self._no_time, number))

    def choose_data(self, data: TrainingData) -> None:
        """Learn from other labels, or from recordings without any."""
        self._by_recordings = data.needle_free and data.path is None
        self.recordings.setVisible(self._by_recordings)
        self._without_labels = data.needle_free
        self._whole, self._roles = data, {}
        if self._by_recordings:
            self.cases.hide()
            self.data = None
            self._take_recordings()
        else:
            self.cases.show_cases(data, self.plugin)
            self._learn_from(data)
        recipe = self.chosen_recipe()
        if recipe is not None:
            fitting = (r for r in self._recipes() if (r.kind == "pretrain") == data.needle_free)
            self._match(recipe.kind == "pretrain", data.needle_free, (f"recipe {r.id}" for r in fitting))

    def _match(self, now: bool | None, wanted: bool, names: Iterable[str]) -> None:
        """Labels have their recipes and recordings without labels theirs: the other side follows what is chosen."""
        choice = self.choices.get(next(iter(names), "")) if now is not None and now != wanted else None
        if choice is not None:
            choice.button.setChecked(True)

    def _take_recordings(self) -> None:
        """Others are ticked, or the statement about them has changed."""
        if not self._by_recordings:
            return
        chosen = self.recordings.data()
        if chosen is None:
            self._asked += 1
            self.data, self.split, self._problem = None, None, ""
            self._tell_split()
        elif chosen == self.data:
            self._tell_split()
        else:
            self._whole = chosen
            self._learn_from(chosen)

    def _tell_split(self) -> None:
        self.split_bar.show_split(self.split, self._problem, at_most=self._up_to, notes=self._split_notes())
        self._tell()

    def _split_notes(self) -> list[str]:
        """What has to be said about who does what."""
        recipe = self.chosen_recipe()
        if self.split is None or recipe is None:
            return []
        said = moved_words(self._roles, self.split), thresholds_words(recipe, self.split)
        return [words for words in said if words]

    @property
    def _up_to(self) -> bool:
        return self._by_recordings and not self.recordings.is_looked_at

    def _recipes(self) -> list[RetrainRecipe]:
        """Those that make a model for the plugin."""
        return [r for r in self._desk.trainings.recipes if r.plugin == self.plugin]

    def _learn_from(self, data: TrainingData) -> None:
        self.data, self.split, self._problem = data, None, ""
        self._asked += 1
        number = self._asked
        self._tell_split()

        def there(split: SplitPlan) -> None:
            if number == self._asked:
                self.split = split
                known = self._roles.setdefault(split.by, {})
                known.update({name: side for name, side in split.roles.items() if name not in known})
                self._tell_split()

        def failed(error: Exception) -> None:
            if not isinstance(error, UserError):
                raise error
            if number == self._asked:
                self._problem = told(str(error))
                self._tell_split()

        roles = {by: dict(sides) for by, sides in self._roles.items()}
        self._desk.trainings.plan(data, self.plugin, roles, there, failed)

    def chosen_recipe(self) -> RetrainRecipe | None:
        """The recipe that is chosen."""
        return next((r for r in self._desk.trainings.recipes if r.id == self.recipe), None)

    def _name_it(self) -> None:
        self._named = True
        self.changed.emit()

    # --- what follows ------------------------------------------------------------------------------------------

    def draft(self) -> Draft | None:
        """What would be trained now; None while something stands in its way."""
        if self.data is None or self.split is None or self.obstacle():
            return None
        recipe = self.chosen_recipe()
        base = self.base if recipe is not None and recipe.needs_base else ""
        whole = self._whole is not None and len(self._whole.cases) == len(self.data.cases)
        return Draft(self.data, self.split, self.recipe, base, self.name.text().strip(), whole)

    def obstacle(self) -> str:
        """Why it cannot begin; "" where it can."""
        recipe = self.chosen_recipe()
        if recipe is None:
            return tr("There is no way to train a model for this plugin yet.")
        if self._refused:
            return self._refused
        if self.data is None:
            nothing = tr("Tick the recordings of this machine that show no needle.")
            return nothing if self._by_recordings else tr("Choose what to learn from.")
        if self._by_recordings and not self.recordings.is_stated:
            return tr("State that none of the chosen recordings shows a needle.")
        if self._problem:
            return self._problem
        if self.split is None:
            return tr("Looking at the labels.")
        frames = self.split.frames.get("train", 0)
        if frames < recipe.least_frames:
            held = sum(self.split.frames.values()) - frames
            words = tr("The part that teaches has {frames} labelled frames and needs {least}, {more} more: {needs}.")
            if recipe.kind == "pretrain":
                words = tr("The part that teaches has {frames} frames and needs {least}, {more} more: {needs}.")
            if self._up_to:
                words = tr("The part that teaches has up to {frames} frames and needs {least}, {more} more: {needs}.")
            least = recipe.least_frames
            told_ = words.format(frames=frames, least=least, more=least - frames, needs=tr(recipe.needs))
            kept = tr("{count} more set thresholds and judge.").format(count=held)
            return f"{told_} {kept}" if held else told_
        if not self.name.text().strip():
            return tr("Give the training a name.")
        return ""

    def cautions(self) -> list[str]:
        """What is not as it should be, though it can begin."""
        recipe, split = self.chosen_recipe(), self.split
        if split is None or recipe is None:
            return []
        return cautions(recipe, split, self.data) + problems_of(None if self._by_recordings else self.data)

    # --- showing -----------------------------------------------------------------------------------------------

    def _show_recipes(self) -> None:
        empty(self._recipe_column)
        self._recipe_group = QButtonGroup(self)
        recipes = self._recipes()
        for recipe in recipes:
            choice = Choice(tr(recipe.title), tr(recipe.what), partial(self.choose_recipe, recipe.id))
            choice.setToolTip(tr(KIND_WORDS[recipe.kind]))
            self._recipe_group.addButton(choice.button)
            self._recipe_column.addWidget(choice)
            self.choices[f"recipe {recipe.id}"] = choice
        self.elsewhere.setText(without_labels_elsewhere(self._desk.trainings.recipes, self.plugin, self._desk.shelf))
        self.elsewhere.setVisible(bool(self.elsewhere.text()))
        first = self.choices.get(f"recipe {recipes[0].id}") if recipes else None
        self.recipe = ""
        if first is not None:
            first.button.setChecked(True)
        else:
            self._tell()

    def _show_data(self) -> None:
        empty(self._data_column)
        self._data_group = QButtonGroup(self)
        fitting = self._fitting()
        before = self._whole if self._by_recordings else self.data
        self.data, self.split, self._without_labels = None, None, None
        self.cases.hide()
        self.recordings.hide()
        self.recordings.show_left_out(())
        self.recordings.show_recordings(self._desk.recordings)
        self.split_bar.show_split(None)
        for data in fitting:
            choice = Choice(title_of(data), second_of(data, self.plugin), partial(self.choose_data, data))
            self._data_group.addButton(choice.button)
            self._data_column.addWidget(choice)
            self.choices[f"data {data.id}"] = choice
        nothing = tr("No labels for this yet. Label frames in Annotate, or put a dataset into {folder}.")
        looking = tr("Looking at the labels.")
        self.no_data.setText(nothing.format(folder=datasets_folder()) if self._desk.data_known else looking)
        self.no_data.setVisible(all(data.needle_free for data in fitting))
        self.damaged.show_notes([told(words) for data in self._desk.data if data.path for words in unread(data)])
        kept = next((d for d in fitting if before is not None and d.id == before.id), None)
        wanted = kept if kept is not None else next(iter(fitting), None)
        if wanted is not None:
            self.choices[f"data {wanted.id}"].button.setChecked(True)
        else:
            self._tell()

    def _fitting(self) -> Sequence[TrainingData]:
        fitting = [data for data in self._desk.data if self.plugin in data.plugins]
        if self._desk.data_known and any(recipe.kind == "pretrain" for recipe in self._recipes()):
            fitting.append(recordings_to_choose(self.plugin))
        return sorted(fitting, key=lambda d: (d.needle_free, d.path is not None, -d.frames_for(self.plugin)))

    def _take_time(self, number: int, estimated: Estimated) -> None:
        if number == self._times_asked:
            self.estimated = estimated
            self._tell()

    def _no_time(self, number: int, error: Exception) -> None:
        """It cannot be carried out here at all; a word about an earlier choice says nothing about this one."""
        if not isinstance(error, UserError):
            raise error
        if number == self._times_asked:
            self._refused = told(str(error))
            self._tell()

    def _tell(self) -> None:
        if self.estimated is not None:
            span = minutes_words(self.estimated.minutes_low, self.estimated.minutes_high)
            known = tr("{time} on this machine, by earlier trainings.")
            guess = tr("{time}. This is a guess, since none of this kind has run here yet.")
            self.time.setText((known if self.estimated.measured_here else guess).format(time=span))
        else:
            self.time.setText("")
        self.warnings.show_notes(self.cautions())
        self._show_waits()
        self.changed.emit()

    def _show_waits(self) -> None:
        """Follow the trainings there are: what this one would wait for, and which names are taken."""
        jobs = self._desk.trainings.all.values()
        self.waits.setText(waits_words(jobs))
        self.waits.setVisible(bool(self.waits.text()))
        if not self._named and self.recipe:
            family = self._desk.shelf.family(self.plugin) if self._desk.shelf is not None else None
            taken = {*(job.name for job in jobs), *(family.trained_as if family is not None else ())}
            self.name.setText(usual_name(self.plugins.currentText(), taken))
