"""A depth scale is read where figures say what its marks mean; everything else is left to a ruler, never guessed."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest

from puncta.imaging.depth_ticks import read_depth_scale
from puncta.imaging.digits import find_glyphs, liken
from puncta.imaging.screen_layout import marks_left
from puncta.imaging.tick_comb import find_combs

BOX = (150, 60, 500, 640)
FACE = cv2.FONT_HERSHEY_SIMPLEX


def screen(
    depth_mm: float = 42.0,
    *,
    every_mm: float = 5.0,
    word: Callable[[float], str] = lambda mm: str(int(mm // 10)) if mm and mm % 10 == 0 else "",
    text: str = "",
    inside: bool = False,
    seed: int = 1,
) -> np.ndarray:
    """A machine's screen of 900 x 760 with speckle in BOX and a depth scale beside or inside it."""
    x, y, w, h = BOX
    picture = np.zeros((760, 900), np.uint8)
    raw = np.hypot(*np.random.default_rng(seed).standard_normal((2, h, w)).astype(np.float32))
    picture[y : y + h, x : x + w] = np.clip(cv2.GaussianBlur(raw, (0, 0), 1.6) * 45 + 8, 0, 255)
    mm_per_px = depth_mm / h
    for number in range(int(depth_mm / every_mm) + 1):
        mm = number * every_mm
        row, long = round(y + mm / mm_per_px), abs(mm / 10 - round(mm / 10)) < 1e-6
        if inside:
            cv2.circle(picture, (x + w - 16, row), 4 if long else 2, 255, -1, cv2.LINE_AA)
        else:
            cv2.line(picture, (x + w + 10, row), (x + w + (26 if long else 17), row), 220, 1)
        if words := word(mm):
            cv2.putText(picture, words, (x + w + 34, row + 6), FACE, 0.55, 220, 1, cv2.LINE_AA)
    cv2.putText(picture, text, (x + w - 40, y + h + 40), FACE, 0.6, 230, 1, cv2.LINE_AA)
    cv2.putText(picture, "Gain 63", (8, 100), FACE, 0.5, 230, 1, cv2.LINE_AA)
    return picture


def no_word(_mm: float) -> str:
    return ""


@pytest.mark.parametrize("depth_mm", [28.0, 42.0, 97.0])
def test_centimetres_beside_the_marks(depth_mm: float) -> None:
    reading = read_depth_scale([screen(depth_mm)], BOX)
    assert reading.mm_per_px == pytest.approx(depth_mm / BOX[3], rel=0.005)
    assert "5 mm apart by the figures" in reading.says


def test_millimetres_beside_the_marks() -> None:
    pictures = [screen(42.0, word=lambda mm: str(int(mm)) if mm and mm % 10 == 0 else "", seed=s) for s in range(3)]
    assert read_depth_scale(pictures, BOX).mm_per_px == pytest.approx(42.0 / BOX[3], rel=0.005)


def test_fine_marks_with_figures_at_the_long_ones() -> None:
    reading = read_depth_scale([screen(42.0, every_mm=1.0)], BOX)
    assert reading.mm_per_px == pytest.approx(42.0 / BOX[3], rel=0.005)
    assert reading.comb.every == 10


@pytest.mark.parametrize(("text", "depth_mm"), [("4 cm", 40.0), ("4.2 cm", 42.0)])
def test_a_written_depth_that_agrees_with_the_marks(text: str, depth_mm: float) -> None:
    pictures = [screen(depth_mm, word=no_word, text=text, inside=True, seed=s) for s in range(4)]
    reading = read_depth_scale(pictures, BOX)
    assert reading.mm_per_px == pytest.approx(depth_mm / BOX[3], rel=0.005)
    assert "written on the screen" in reading.says


@pytest.mark.parametrize(
    ("why", "options"),
    [
        ("no figures at all", {"word": no_word}),
        ("5, 10, 15 may be millimetres or centimetres", {"word": lambda mm: str(int(mm)) if mm else ""}),
        ("letters are no figures", {"word": lambda mm: "ABCDEFGHKL"[int(mm // 10)] if mm % 10 == 0 else ""}),
        ("figures that do not count on", {"word": lambda mm: str((int(mm) * 7) % 9 + 1) if mm % 10 == 0 else ""}),
        ("a written depth that no step fits", {"word": no_word, "text": "7 cm"}),
        ("figures and the written depth contradict each other", {"text": "9 cm"}),
        (
            "figures that count from elsewhere than the region's top",
            {"word": lambda mm: str(int(mm // 10) + 4) if mm % 10 == 0 else ""},
        ),
    ],
)  # fmt: skip
def test_what_is_not_sure_is_left_to_a_ruler(why: str, options: dict) -> None:
    reading = read_depth_scale([screen(42.0, **options)], BOX)
    assert reading.mm_per_px is None, why
    assert reading.comb is not None and reading.says


def test_speckle_and_text_are_no_scale() -> None:
    picture = screen(42.0)
    picture[:, BOX[0] + BOX[2] :] = 0
    reading = read_depth_scale([picture], BOX)
    assert reading.comb is None and reading.mm_per_px is None
    page = np.zeros((760, 900), np.uint8)
    for line in range(18):
        cv2.putText(page, "12 of 34 cm", (660, 40 + 40 * line), FACE, 0.6, 255, 1, cv2.LINE_AA)
    assert read_depth_scale([page], BOX).mm_per_px is None


def test_marks_know_whether_they_are_still_there() -> None:
    (comb,) = find_combs(screen(42.0), BOX)
    assert marks_left(screen(42.0, seed=9), comb) == 1.0
    assert marks_left(screen(55.0), comb) < 0.5
    (again,) = find_combs(screen(42.0, seed=5), BOX)
    (deeper,) = find_combs(screen(44.0), BOX)
    assert comb.like(again) and not comb.like(deeper)


@pytest.mark.parametrize("text", ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"])
@pytest.mark.parametrize("face", [cv2.FONT_HERSHEY_SIMPLEX, cv2.FONT_HERSHEY_TRIPLEX])
def test_a_digit_is_read_or_not_but_never_another(text: str, face: int) -> None:
    picture = np.zeros((60, 60), np.uint8)
    cv2.putText(picture, text, (18, 40), face, 0.7, 230, 1, cv2.LINE_AA)
    (glyph,) = find_glyphs(picture, (0, 0, 60, 60), (6, 40))
    best = liken(glyph).best
    assert best in (text, "") if face == cv2.FONT_HERSHEY_TRIPLEX else best == text


def test_real_screens_are_read_or_left_to_a_ruler_but_never_wrong(shared_data, repo_root) -> None:
    import tomllib

    from puncta.session.region_check import GOOD_SCALE
    from puncta.sources.factory import open_source

    table = tomllib.loads((repo_root / "resources/docs/results/regions-drawn.toml").read_text(encoding="utf-8"))
    read = 0
    for name, box in table["boxes"].items():
        if not name.endswith((".png", ".jpg", ".dcm")):
            continue  # films take long to decode; the table of results has them
        source = open_source(str(shared_data / "pocus_screens" / name))
        reading = read_depth_scale([source.read().pixels], tuple(box))
        source.close()
        if reading.mm_per_px is not None:
            read += 1
            assert reading.mm_per_px == pytest.approx(table["mm_per_px"][name], rel=GOOD_SCALE), name
    assert read >= 7
