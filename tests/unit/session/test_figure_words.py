"""Numbers and counts as people read them."""

from __future__ import annotations

import pytest

from puncta.session.figure_words import count_of, in_figures


@pytest.mark.parametrize(
    ("value", "form", "shown"),
    [
        (-0.04, "{:.1f}", "0.0"),
        (-0.04, "{:+.1f}", "+0.0"),
        (-0.06, "{:.1f}", "-0.1"),
        (0.0, "{:.2f}", "0.00"),
        (12.34, "{:+.1f}", "+12.3"),
    ],
)
def test_what_is_rounded_to_nothing_is_not_less_than_nothing(value: float, form: str, shown: str) -> None:
    assert in_figures(value, form) == shown


def test_one_has_no_plural() -> None:
    found = [count_of(n, "subject") for n in (0, 1, 2, 1200)]
    assert found == ["0 subjects", "1 subject", "2 subjects", "1,200 subjects"]
