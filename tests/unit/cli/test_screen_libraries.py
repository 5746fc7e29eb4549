"""A missing library of an X11 window is named in one sentence before the toolkit would end the program."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from puncta import __main__ as start
from puncta.cli import screen_libraries
from puncta.cli.screen_libraries import X11_LIBRARIES, check_screen_libraries, check_toolkit, uses_x11
from puncta.core.errors import UserError

X11 = {"DISPLAY": ":0"}


def without(*names: str):  # noqa: ANN201
    def load(name: str) -> None:
        if name in names:
            raise OSError(f"{name}: cannot open shared object file: No such file or directory")

    return load


@pytest.mark.parametrize(
    ("platform", "environ", "expected"),
    [
        ("linux", X11, True),
        ("linux", {}, False),
        ("linux", {**X11, "WAYLAND_DISPLAY": "wayland-0"}, False),
        ("linux", {**X11, "QT_QPA_PLATFORM": "offscreen"}, False),
        ("linux", {**X11, "QT_QPA_PLATFORM": "minimal"}, False),
        ("linux", {**X11, "QT_QPA_PLATFORM": "wayland;xcb"}, False),
        ("linux", {**X11, "WAYLAND_DISPLAY": "wayland-0", "QT_QPA_PLATFORM": "xcb:gl=no"}, True),
        ("darwin", X11, False),
        ("win32", X11, False),
    ],
)
def test_only_a_window_by_x11_asks_for_its_libraries(platform: str, environ: dict[str, str], expected: bool) -> None:
    assert uses_x11(environ, platform) is expected
    asked: list[str] = []
    check_screen_libraries(environ, platform, asked.append)
    assert asked == (list(X11_LIBRARIES) if expected else [])


def test_what_is_missing_is_named_with_its_package() -> None:
    check_screen_libraries(X11, "linux", without())
    with pytest.raises(UserError) as error:
        check_screen_libraries(X11, "linux", without("libxcb-cursor.so.0"))
    assert str(error.value) == (
        "The window needs a library of this system that is missing: libxcb-cursor.so.0; install what is missing (on "
        "Debian and Ubuntu: sudo apt install libxcb-cursor0), then try again."
    )
    with pytest.raises(UserError, match="sudo apt install libxcb-cursor0 libxcb-icccm4[)]"):
        check_screen_libraries(X11, "linux", without("libxcb-cursor.so.0", "libxcb-icccm.so.4"))


def test_puncta_says_so_and_ends_with_status_2_before_the_toolkit_is_loaded(
    user_home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["puncta", "open"])
    monkeypatch.setattr(start, "_is_screen_there", lambda: True)
    monkeypatch.setattr(screen_libraries, "uses_x11", lambda *_: True)
    monkeypatch.setattr(screen_libraries, "_loads", lambda name, _load: name != "libxcb-cursor.so.0")
    monkeypatch.setattr(screen_libraries, "check_toolkit", lambda: None)
    for name in ("app", "bench"):
        monkeypatch.setitem(sys.modules, f"puncta.gui.{name}", None)  # a window that is wanted all the same is a fault
    assert start.main() == 2
    said = capsys.readouterr().err
    assert "sudo apt install libxcb-cursor0" in said and len(said.splitlines()) == 1
    with pytest.raises(UserError, match="libxcb-cursor0"):
        start._bench_window()


def test_a_library_that_the_toolkit_itself_lacks_is_named_and_any_other_fault_is_ours() -> None:
    def fails(text: str):  # noqa: ANN202
        def load(_name: str) -> None:
            raise ImportError(text)

        return load

    with pytest.raises(UserError, match=r"missing: libEGL.so.1; install .*bootstrap.py run.*then try again[.]$"):
        check_toolkit(fails("libEGL.so.1: cannot open shared object file: No such file or directory"))
    with pytest.raises(ImportError, match="no module"):
        check_toolkit(fails("no module named PySide6"))


def test_the_installer_looks_for_the_same_libraries(repo_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(repo_root / "installer"))
    from bootstrap_steps.system import X11_SCREEN

    assert {library.soname: library.apt for library in X11_SCREEN} == X11_LIBRARIES
