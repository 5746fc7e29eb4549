"""A recorder that remembers no past."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from puncta.recording.recorder import Recorder
from puncta.sources.native_layout import layout_of


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    made = Recorder(layout_of, pre_roll_s=0.0)
    yield made
    made.close()
