"""Whether the rater reads the open case blind, in every mode: then what plugins find on it is hidden."""

from __future__ import annotations

from typing import TYPE_CHECKING

from puncta.annotation.reading import may_propose
from puncta.annotation.store import AnnotationStore

if TYPE_CHECKING:
    from puncta.gui.annotate.annotator import Annotator


class BlindReading:
    """Asks the store, and lets the desk hide or show."""

    def __init__(self, annotator: Annotator) -> None:
        self._a = annotator

    def begin(self) -> None:
        """Another case or another reader: nothing of the plugins is shown before it is known that it may be."""
        self._a.window.desk.set_blind(None)
        self.look()

    def look(self) -> None:
        """Ask whether the open case is read blind now."""
        window = self._a.window
        info, rater = window.desk.info, window.preferences.settings.rater
        if info is None or not info.seekable or not rater:
            window.desk.set_blind(False)
            return

        def read(store: AnnotationStore) -> bool:
            case = store.find_case(info.stream, info.uri)
            known = case is not None and case.frame_count == info.frame_count
            return known and case is not None and not may_propose(store, case.id, rater)

        def show(blind: bool) -> None:
            now = window.desk.info
            same = now is not None and (now.stream, now.uri) == (info.stream, info.uri)
            if same and window.preferences.settings.rater == rater:
                window.desk.set_blind(blind)

        # A store that cannot be opened holds no reading either; Annotate says what is wrong with it.
        self._a.store.ask(read, show, lambda _error: show(False), quiet=True)
