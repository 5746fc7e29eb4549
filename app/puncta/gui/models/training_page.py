"""One training: how far it is, its curves, what it says on sample frames, and at its end the comparison."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import Qt
from PySide6.QtGui import QImage, QPixmap, QResizeEvent
from PySide6.QtWidgets import QHBoxLayout, QLabel, QSizePolicy, QVBoxLayout, QWidget

from puncta.gui.i18n import numbers, tr
from puncta.gui.models.comparison_view import ComparisonView
from puncta.gui.models.copy_words import learns_from
from puncta.gui.models.curves import Curve, CurvePlot, last_sample
from puncta.gui.models.page_parts import Facts, Notes, Page, Title, empty, heading, wrapped
from puncta.gui.models.plan_words import thresholds_words
from puncta.gui.models.said import told
from puncta.gui.models.split_bar import SplitBar
from puncta.gui.models.training_desk import OWN, SIMULATED
from puncta.gui.models.words import (
    FIGURE_WORDS,
    HELD,
    SHARE,
    STATE_MARKS,
    STATE_WORDS,
    UNDER_WAY,
    moment_words,
    time_words,
)
from puncta.gui.panels.parts import Bar
from puncta.gui.theme import Theme

if TYPE_CHECKING:
    from puncta.gui.models.training_desk import Learned
    from puncta.session.retrain import JobStatus, RetrainRecipe

LOSS, TUNE = "loss", "tune"
LOSS_WORDS = {
    "loss": "all together", "tip": "tip", "shaft": "shaft", "presence": "needle or none", "offset": "place",
    "direction": "direction", "pixels": "mask", "dice": "overlap", "centre line": "centre line", "flags": "flags",
    "other": "other pictures", "map": "map",
}
DRAWN = "drawn"
SAMPLE_WORDS = {
    OWN: "Frames of your own data",
    DRAWN: "Frames of your own recordings, with needles drawn into them",
    SIMULATED: "Simulated cines of the machines that Puncta knows, made to tune by; none of them is yours",
}
"""What the frames are of."""
MOST_LOSSES = 4
_UPRIGHT = Qt.AlignmentFlag.AlignVCenter


class Sample(QLabel):
    """A picture as wide as the column, never wider than it is."""

    def __init__(self, image: QImage, words: str) -> None:
        super().__init__()
        self._image = image
        self.setMinimumWidth(1)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setAccessibleName(f"{tr('What the network says on tune frames')}: {words}")

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Fit the width."""
        super().resizeEvent(event)
        ratio = self.devicePixelRatioF()
        wide = min(round(self.width() * ratio), self._image.width())
        pixmap = QPixmap.fromImage(self._image.scaledToWidth(wide, Qt.TransformationMode.SmoothTransformation))
        pixmap.setDevicePixelRatio(ratio)
        self.setPixmap(pixmap)
        self.setFixedHeight(round(pixmap.height() / ratio))


class TrainingPage(Page):
    """Follows one training."""

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(theme, tr("Training"), parent)
        self.job: JobStatus | None = None
        self.title = Title(theme)
        self.stage = wrapped("", "strong")
        self.left = wrapped("", "quiet")
        self.bar = Bar(tr("Progress of this stage"), theme)
        self.message = wrapped("", "")
        self.comparison_head = heading(tr("On held out frames"))
        self.comparison = ComparisonView(theme)
        self.curves_head = heading(tr("How it learns"))
        self.losses = CurvePlot(theme, tr("Loss, on what it learns from"), axis=tr("Loss"))
        of_both = tr("Figures, on tune frames, simulated ones among them")
        self.figures = CurvePlot(theme, of_both, SHARE, axis=tr("Share"))
        self.figures.follow(self.losses)
        self.waiting = wrapped(tr("Curves begin with its first measurements."), "quiet")
        self.samples_head = heading(tr("What it says on tune frames"))
        self._samples = QWidget()
        self._samples_column = QVBoxLayout(self._samples)
        self._samples_column.setContentsMargins(0, 0, 0, 0)
        self.sample_words: tuple[str, ...] = ()
        self._images: tuple[object, ...] = ()
        self._drawn = False
        self._recipe: RetrainRecipe | None = None
        self.split_head = heading(tr("Who is held out"))
        self.split_bar = SplitBar(theme)
        self.facts = Facts()
        self.left_out = Notes(theme)
        line = QHBoxLayout()
        line.setSpacing(16)
        line.addWidget(self.stage, 3)
        line.addWidget(self.left, 2)
        self.column.addWidget(self.title)
        self.column.addLayout(line)
        for part in (
            self.bar, self.message, self.comparison_head, self.comparison, self.split_head, self.split_bar,
            self.curves_head, self.waiting, self.losses,
            self.figures, self.samples_head, self._samples, heading(tr("Plan")), self.facts, self.left_out,
        ):
            self.column.addWidget(part)
        self.column.addStretch(1)

    def show_training(self, job: JobStatus, recipe: RetrainRecipe | None, made: str = "") -> None:
        """Show how a training stands, and in words what has become of the model that it ``made``."""
        other = self.job is None or self.job.id != job.id
        self.job = job
        shape, tone = STATE_MARKS.get(job.state, ("ring", "neutral"))
        self._recipe = recipe
        title = tr(recipe.title) if recipe is not None else job.recipe
        second = tr("{recipe}, goes on from {base}").format(recipe=title, base=job.base) if job.base else title
        key = (job.name, second, job.state)
        if other or key != getattr(self, "_titled", None):
            self._titled = key
            self.title.show_title(job.name, second, [(tr(STATE_WORDS.get(job.state, job.state)), tone, shape)])
        going = job.state in UNDER_WAY
        self.stage.setText(_stage_words(job) if going else "")
        self.left.setText(_time_words(job))
        for part in (self.stage, self.bar):
            part.setVisible(going)
        self.left.setVisible(bool(self.left.text()))
        self.bar.set_value(job.done / job.total if job.total else None)
        done = job.state == "done"
        self.message.setText(made if done else "" if going else told(job.message))
        self.message.setVisible(bool(self.message.text()))
        self.left.setAlignment((Qt.AlignmentFlag.AlignRight if going else Qt.AlignmentFlag.AlignLeft) | _UPRIGHT)
        self._say_of_curves()
        self.comparison_head.setVisible(done)
        self.comparison.setVisible(done)
        facts = [(tr("Dataset"), learns_from(job))] if job.data else []
        if job.created_utc:
            facts.append((tr("Begun"), moment_words(job.created_utc)))
        if job.model:
            facts.append((tr("Makes the model"), job.model))
        facts.append((tr("Kept in"), str(job.folder)))
        self.facts.show_facts(facts)
        if other:
            self.comparison.say("")
            self.show_learned(None)
            self.bring_up()

    def _say_of_curves(self) -> None:
        """Promise curves only where there will be some."""
        promised = not self._drawn and self.job is not None and self.job.state in (*UNDER_WAY, *HELD)
        self.waiting.setVisible(promised)
        self.curves_head.setVisible(promised or self._drawn)

    def show_learned(self, learned: Learned | None) -> None:
        """Show curves and sample pictures."""
        curves = learned.curves if learned is not None else {}
        losses, figures = loss_curves(curves), tune_curves(curves)
        most = last_sample([*losses, *figures])
        self.losses.show_curves(losses, most)
        self.figures.show_curves(figures, most)
        self._drawn = bool(curves)
        self._say_of_curves()
        images = learned.pictures if learned is not None else ()
        split = learned.split if learned is not None else None
        self.split_head.setVisible(split is not None)
        self.split_bar.setVisible(split is not None)
        said = thresholds_words(self._recipe, split) if self._recipe is not None and split is not None else ""
        self.split_bar.show_split(split, notes=[said] if said else ())
        keys = tuple((kind, image.cacheKey()) for kind, image in images)
        if keys != self._images:
            self._images = keys
            empty(self._samples_column)
            pretrains = self._recipe is not None and self._recipe.kind == "pretrain"
            kinds = [DRAWN if pretrains and kind == OWN else kind for kind, _image in images]
            self.sample_words = tuple(tr(SAMPLE_WORDS[kind]) for kind in kinds)
            for said, (_kind, image) in zip(self.sample_words, images, strict=True):
                head = wrapped(said, "quiet")
                head.setContentsMargins(0, 6, 0, 0)
                self._samples_column.addWidget(head)
                self._samples_column.addWidget(Sample(image, said))
        self.left_out.show_notes([told(words) for words in learned.notes] if learned is not None else [])
        self.samples_head.setVisible(bool(images))
        self._samples.setVisible(bool(images))


def loss_curves(curves: dict[str, tuple[list[float], list[float]]]) -> list[Curve]:
    """The loss in all, and its largest parts."""
    found = []
    for name, (samples, values) in curves.items():
        if name == LOSS or name.startswith(f"{LOSS}: "):
            part = name.removeprefix(f"{LOSS}: ")
            found.append((name != LOSS, -(values[-1] if values else 0.0), Curve(_loss_words(part), samples, values)))
        elif name.startswith(f"{TUNE} {LOSS}"):
            found.append((False, 0.0, Curve(tr("on tune frames"), samples, values, dashed=True)))
    found.sort(key=lambda entry: entry[:2])
    return [curve for _part, _size, curve in found[:MOST_LOSSES]]


def tune_curves(curves: dict[str, tuple[list[float], list[float]]]) -> list[Curve]:
    """The figures of the tune frames that are shares."""
    found = []
    for name, (samples, values) in curves.items():
        if name.startswith(f"{TUNE}: ") and all(-0.001 <= v <= 1.001 for v in values):
            key = name.removeprefix(f"{TUNE}: ").replace(" ", "_")
            words, _unit = FIGURE_WORDS.get(key, (key.replace("_", " "), SHARE))
            found.append(Curve(tr(words), samples, values, dashed=True))
    return found[:6]


def _loss_words(name: str) -> str:
    return tr(LOSS_WORDS[name]) if name in LOSS_WORDS else name


def _stage_words(job: JobStatus) -> str:
    if job.state == "waiting":
        return tr("Waits until the training before it has ended")
    stage = tr(STAGE_WORDS.get(job.stage, job.stage))
    if not job.total:
        return stage
    done = tr("{done} of {total}").format(done=numbers(f"{job.done:,.0f}"), total=numbers(f"{job.total:,.0f}"))
    return f"{stage}: {done}"


def _time_words(job: JobStatus) -> str:
    if job.state not in UNDER_WAY:
        return tr("It ran for {time}.").format(time=time_words(job.elapsed_s)) if job.elapsed_s >= 1 else ""
    spent = tr("{time} so far").format(time=time_words(job.elapsed_s)) if job.elapsed_s >= 1 else ""
    left = tr("{time} left").format(time=time_words(job.left_s)) if job.left_s is not None else ""
    return ", ".join(words for words in (left, spent) if words)


STAGE_WORDS = {
    "beginning": "Begins",
    "training": "Learns",
    "setting thresholds": "Sets thresholds",
    "clips of the dataset": "Reads the labelled clips",
    "masks of the dataset": "Reads the labelled masks",
    "recordings": "Looks at the recordings",
    "needle-free frames": "Takes frames of the recordings",
    "needles drawn to judge by": "Draws needles into the recordings",
    "needles drawn into recordings": "Draws needles into the recordings",
    "simulated clips": "Makes simulated clips",
    "masks of simulated clips": "Makes simulated clips",
    "infant spines": "Makes simulated infants",
    "other organs": "Makes simulated pictures of other organs",
    "done": "Done",
}
