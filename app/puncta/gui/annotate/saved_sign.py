"""Whether what was labelled is safe, and where: in the store, on this computer alone, or nowhere yet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from puncta.annotation.shared import Standing
from puncta.gui.annotate.parts_shown import trouble_words
from puncta.gui.annotate.said import told
from puncta.gui.i18n import tr

if TYPE_CHECKING:
    from puncta.gui.annotate.annotator import Annotator

LAB, REFUSED = "lab", "refused"
"""Topics of the banners."""


class SavedSign:
    """Follows the store of one window: the chip at the top right, and a sentence where something is wrong."""

    def __init__(self, annotator: Annotator) -> None:
        self._a = annotator
        self.failure = ""
        """Why the last work on the store was not done, in words."""
        self._reached: bool | None = None
        self._refused: int | None = None

    def show(self) -> None:
        """Bring chip and sentences up to the store."""
        a = self._a
        if a.desk.trouble is None:
            self.failure = ""
        standing = a.store.standing
        a.status.show_saved(a.desk.unsaved, self.failure, standing)
        if standing is not None:
            self._follow_server(standing)

    def fail(self, words: str) -> None:
        """Some work on the store was not done."""
        a = self._a
        self.failure, may_begin = trouble_words(a.desk.trouble, told(words))
        mend = (tr("Begin an empty store"), self.begin_anew) if may_begin else None
        a.window.stage.banners.say("labels", "bad", self.failure, mend)
        self.show()

    def begin_anew(self) -> None:
        """Begin an empty store; the damaged one stays where it was set aside."""
        self._a.window.stage.banners.hush("labels")
        self._a.store.begin_anew = True
        self._a.reopen()

    def _follow_server(self, standing: Standing) -> None:
        """Say once when the server goes, when it comes back, and when it has not taken a gesture."""
        a, banners = self._a, self._a.window.stage.banners
        if standing.reached is False and self._reached is not False:
            words = tr(
                "The lab's store of labels is not reached. Your labels are kept on this computer and go there by "
                "themselves when it answers."
            )
            banners.say(LAB, "caution", f"{words} {told(standing.trouble)}")
        elif standing.reached and self._reached is False:
            banners.hush(LAB)
            a.say(tr("The lab's store of labels is reached again."))
        self._reached = standing.reached
        last = standing.last_refused
        if self._refused is not None and standing.refused > self._refused and last is not None:
            words = tr("The lab's store has not taken “{title}”, and shows what it holds instead: {reason}")
            banners.say(REFUSED, "caution", words.format(title=told(last.title), reason=told(last.reason)))
        self._refused = standing.refused
