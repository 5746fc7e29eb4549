"""Python's search for garbage, kept away from the hundred thousands of objects that a case with many labels is made of.

The search goes through everything that lives, with Python's lock held: the picture stands for a tenth of a second.
Labels hold no cycles, so that nothing is found among them; they are let go when the last one lets go of them.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

from puncta.gui.garbage import no_search

MANY = 2000
"""From so many labels on they are set apart."""


@contextmanager
def reading_many() -> Iterator[None]:
    """While labels are read by the thousand, nobody looks for garbage among those that have come."""
    with no_search():
        yield


class SetApart:
    """The labels of the open case, set apart or not."""

    def __init__(self) -> None:
        self._apart = False

    def take(self, labels: int) -> None:
        """Set apart what lives now, where a case has many labels."""
        if labels >= MANY:
            gc.freeze()
            self._apart = True

    def give_back(self) -> None:
        """Let the garbage of the closed case be found; what lived before it is set apart again."""
        if self._apart:
            self._apart = False
            gc.unfreeze()
            gc.collect()
            gc.freeze()
