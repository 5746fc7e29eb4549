"""A long Live in figures: what grows, slows down or drifts is told, what does not is not."""

from __future__ import annotations

from typing import Any

import pytest

from puncta.cli.main import main
from puncta.session.bench import Figure
from puncta.session.bench_hour import figures_of_hour


def hour(
    *, leak_mb_per_s: float = 0.0, slow: float = 1.0, late: float = 0.0, deaf: float = 0.0, thread_at: int = 10**9
):
    """Samples of an hour, one every ten seconds, with a fault of choice."""
    samples: list[dict[str, Any]] = []
    painted = 0.0
    for n in range(361):
        t = 10.0 * n
        painted += 250.0 * (slow if n > 180 else 1.0)
        warm = 60.0 if n > 3 else 20.0 * n
        samples.append(
            {
                "t_s": t,
                "rss_mb": 300.0 + warm + leak_mb_per_s * t,
                "threads": 9 + (n >= thread_at),
                "painted": round(painted),
                "media_s": t * (1 - late),
                "oldest_ms": 20.0,
                "dropped": 0,
                "taken_s": 50.0 + t,
                "audio_s": t * (1 - deaf) + 0.03 * (n % 2),
            }
        )
    return samples


def by_name(figures: list[Figure]) -> dict[str, Figure]:
    return {figure.name: figure for figure in figures}


def test_a_steady_hour_has_nothing_to_tell() -> None:
    figures = by_name(figures_of_hour(hour(), "made up"))
    assert all(figure.met for figure in figures.values()) and len(figures) == 5
    assert figures["hour_memory"].value == pytest.approx(0.0), "what fills at the start is no leak"
    assert figures["hour_rate"].value == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("fault", "name", "value"),
    [
        ({"leak_mb_per_s": 0.02}, "hour_memory", 0.02 * 3120),
        ({"slow": 0.9}, "hour_rate", 0.9),
        ({"late": 1e-4}, "hour_time_drift", -360.0),
        ({"deaf": 1e-3}, "hour_audio_drift", -3600.0),
        ({"thread_at": 300}, "hour_threads", 1),
    ],
)
def test_each_fault_is_told_by_its_own_figure(fault: dict[str, float], name: str, value: float) -> None:
    figures = by_name(figures_of_hour(hour(**fault), "made up"))
    assert figures[name].value == pytest.approx(value, rel=0.02)
    assert [n for n, figure in figures.items() if not figure.met] == [name]


def test_without_sound_it_says_why_and_judges_the_rest() -> None:
    samples = [{k: v for k, v in s.items() if k != "audio_s"} for s in hour()]
    figures = by_name(figures_of_hour(samples, "made up", "Sounds need a package."))
    assert figures["hour_audio_drift"].value is None and figures["hour_audio_drift"].note == "Sounds need a package."
    assert figures["hour_memory"].met


def test_a_run_of_seconds_says_that_it_is_too_short() -> None:
    (figure,) = figures_of_hour(hour()[:2], "made up")
    assert figure.value is None and "too short" in figure.note


def test_the_part_is_asked_for_by_name_and_in_minutes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "--only", "hour", "--minutes", "0"]) == 2
    assert "--minutes 0 is not a time" in capsys.readouterr().err
    assert main(["bench", "--only", "week"]) == 2
    assert "hour" in capsys.readouterr().err
