"""Labels by the thousand are set apart from the search for garbage while their case is open, and no longer."""

from __future__ import annotations

import gc
import weakref

import pytest

from puncta.gui.annotate.many_labels import MANY, SetApart, reading_many


class _Ring:
    """Garbage that only a search finds."""

    def __init__(self) -> None:
        self.me = self


def test_nobody_looks_for_garbage_while_labels_are_read() -> None:
    """And it goes on as it was before, also after a fault."""
    gc.enable()
    with pytest.raises(OSError, match="gone"), reading_many():
        assert not gc.isenabled()
        raise OSError("gone")
    assert gc.isenabled()
    gc.disable()
    with reading_many():
        pass
    assert not gc.isenabled()


def test_a_case_of_many_labels_is_set_apart_until_it_is_closed() -> None:
    """What became garbage in it is found when it is closed."""
    gc.collect()
    before, apart = gc.get_freeze_count(), SetApart()
    apart.take(MANY - 1)
    assert gc.get_freeze_count() == before
    ring = weakref.ref(_Ring())
    try:
        apart.take(MANY)
        assert gc.get_freeze_count() > before
        gc.collect()
        assert ring() is not None
        apart.give_back()
        assert ring() is None
    finally:
        gc.unfreeze()
