"""Which model goes to which plugin, and what is said where that cannot be."""

from __future__ import annotations

import pytest

from puncta.core.errors import UserError
from puncta.session.plugins import models_by_plugin


def test_a_model_goes_to_its_plugin() -> None:
    assert models_by_plugin(["needle-tip-ut@0.3"], ["needle-tip"]) == {"needle-tip": "needle-tip-ut@0.3"}


def test_a_model_whose_plugin_does_not_run_is_refused() -> None:
    with pytest.raises(UserError, match="--plugins needle-tip,infant-lp"):
        models_by_plugin(["lp-landmarks"], ["needle-tip"])
    assert models_by_plugin(["lp-landmarks"]) == {"infant-lp": "lp-landmarks"}


def test_two_models_of_one_plugin_are_refused() -> None:
    with pytest.raises(UserError, match="name one"):
        models_by_plugin(["needle-tip-ut@0.2", "needle-tip-ut@0.3"], ["needle-tip"])
