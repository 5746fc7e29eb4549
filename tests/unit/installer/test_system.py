"""Which system libraries are asked for, found missing and installed, on machines that are made up here."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from bootstrap_steps import system
from bootstrap_steps.stop import StopInstalling

SONAMES_OFFSCREEN = {"libEGL.so.1", "libGL.so.1", "libxkbcommon.so.0", "libdbus-1.so.3", "libfontconfig.so.1"}


def write_program(folder: Path, name: str, body: str) -> None:
    """Put a small program `name` into `folder` that acts as `body` (Python) says."""
    path = folder / name
    path.write_text(f"#!{sys.executable}\nimport os, sys\n{body}\n", encoding="utf-8")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is the whole PATH."""
    folder = tmp_path / "programs"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


@pytest.mark.parametrize(
    ("platform", "environ", "expected"),
    [
        ("linux", {}, False),
        ("linux", {"DISPLAY": ":0"}, True),
        ("linux", {"WAYLAND_DISPLAY": "wayland-0"}, True),
        ("linux", {"DISPLAY": ":0", "PUNCTA_HEADLESS": "1"}, False),
        ("linux", {"DISPLAY": ":0", "PUNCTA_HEADLESS": "0"}, True),
        ("darwin", {}, True),
        ("win32", {}, True),
        ("win32", {"PUNCTA_HEADLESS": "yes"}, False),
    ],
)
def test_has_display(platform: str, environ: dict[str, str], expected: bool) -> None:
    assert system.has_display(environ, platform) is expected


def test_a_screen_needs_more_libraries_and_other_systems_none() -> None:
    bare = {library.soname for library in system.list_needed({}, "linux")}
    x11 = {library.soname for library in system.list_needed({"DISPLAY": ":0"}, "linux")}
    wayland = {library.soname for library in system.list_needed({"WAYLAND_DISPLAY": "w"}, "linux")}
    assert bare >= SONAMES_OFFSCREEN
    assert x11 > bare
    assert "libxcb-cursor.so.0" in x11 - bare
    assert "libwayland-client.so.0" in wayland - bare
    assert system.list_needed({"DISPLAY": ":0"}, "darwin") == ()
    assert system.list_needed({}, "win32") == ()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="shared libraries are looked for on Linux only")
def test_the_list_covers_what_the_qt_of_the_lock_loads() -> None:
    """Every library outside the wheels that Qt's own files name is in the list, or in every Linux with Python."""
    pyside = pytest.importorskip("PySide6", exc_type=ImportError)
    qt = Path(pyside.__file__).parent / "Qt"
    files = [qt / "plugins/platforms" / name for name in ("libqoffscreen.so", "libqxcb.so", "libqwayland.so")]
    files += [
        qt / "lib" / f"libQt6{name}.so.6" for name in ("Core", "Gui", "Widgets", "DBus", "XcbQpa", "WaylandClient")
    ]
    wanted = {name for path in files for name in read_needed(path)}
    listed = {library.soname for library in system.QT_ITSELF + system.X11_SCREEN + system.WAYLAND_SCREEN}
    with_the_wheel = {path.name for path in (qt / "lib").iterdir()}
    everywhere = {"libc.so.6", "libm.so.6", "libstdc++.so.6", "libgcc_s.so.1", "ld-linux-x86-64.so.2", "libz.so.1"}
    everywhere |= {"ld-linux-aarch64.so.1", "libdl.so.2", "libpthread.so.0", "librt.so.1"}
    # Each comes with a listed one that links to it.
    everywhere |= {"libglib-2.0.so.0", "libxcb.so.1", "libxcb-shm.so.0", "libxcb-render.so.0", "libzstd.so.1"}
    assert wanted - listed - with_the_wheel - everywhere == set()
    assert "libxcb-cursor.so.0" in wanted


def read_needed(path: Path) -> set[str]:
    """Return the libraries an ELF file names (DT_NEEDED), read from its dynamic section."""
    data = path.read_bytes()
    assert data[:5] == b"\x7fELF\x02", f"{path} is not a 64-bit ELF file"

    def number(offset: int, size: int = 8) -> int:
        return int.from_bytes(data[offset : offset + size], "little")

    sections, entry_size, count = number(0x28), number(0x3A, 2), number(0x3C, 2)
    names: set[str] = set()
    for index in range(count):
        section = sections + index * entry_size
        if number(section + 4, 4) != 6:  # SHT_DYNAMIC
            continue
        strings = number(sections + number(section + 0x28, 4) * entry_size + 0x18)
        start, size = number(section + 0x18), number(section + 0x20)
        for entry in range(start, start + size, 16):
            if number(entry) == 1:  # DT_NEEDED
                first = strings + number(entry + 8)
                names.add(data[first : data.index(b"\0", first)].decode())
    return names


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="shared libraries are looked for on Linux only")
def test_missing_means_that_loading_fails() -> None:
    there = system.Library("libc.so.6", "a", "b", "c")
    absent = system.Library("libnot-on-any-machine.so.7", "not-there", "b", "c")
    assert system.find_missing([there, absent]) == [absent]
    assert system.find_missing([]) == []


def test_each_package_is_asked_for_once() -> None:
    manager = system.PackageManager("pacman", ())
    packages = manager.names_of(system.QT_ITSELF)
    assert packages.count("libglvnd") == 1
    assert manager.install_command(["x"]) == ["pacman", "-S", "--needed", "--noconfirm", "x"]
    assert system.PackageManager("dnf", ()).line_for_the_user(["a", "b"]) == "sudo dnf install -y a b"


@pytest.mark.skipif(os.name == "nt", reason="package managers are driven on Linux only")
class TestInstalling:
    def test_sudo_that_would_ask_is_not_used(self, programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        write_program(programs, "apt-get", "sys.exit(0)")
        write_program(programs, "sudo", "sys.exit(1)")
        monkeypatch.setattr(os, "geteuid", lambda: 1000)
        manager = system.find_package_manager()
        assert manager is not None
        assert manager.name == "apt"
        assert manager.prefix is None
        assert manager.install(["x"]) is False
        missing = [system.Library("libEGL.so.1", "libegl1", "e", "e")]
        line = "  sudo apt-get update && sudo apt-get install -y --no-install-recommends libegl1"
        assert system.say_what_lacks(missing).splitlines()[-1] == line

    def test_sudo_without_a_question_is_used(
        self, programs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        log = tmp_path / "log"
        write_program(programs, "dnf", "sys.exit(3)")
        write_program(programs, "sudo", f"open({str(log)!r}, 'a').write(' '.join(sys.argv[1:]) + '\\n')")
        monkeypatch.setattr(os, "geteuid", lambda: 1000)
        manager = system.find_package_manager()
        assert manager == system.PackageManager("dnf", ("sudo", "-n"))
        assert manager.install(["mesa"]) is True
        assert log.read_text().splitlines() == ["-n true", "-n dnf install -y mesa"]

    def test_apt_fetches_its_list_when_it_does_not_know_a_package(self, programs: Path, tmp_path: Path) -> None:
        updated, log = tmp_path / "updated", tmp_path / "log"
        write_program(
            programs,
            "apt-get",
            f"open({str(log)!r}, 'a').write(sys.argv[1] + ' ' + os.environ['DEBIAN_FRONTEND'] + '\\n')\n"
            f"if sys.argv[1] == 'update': open({str(updated)!r}, 'w').close()\n"
            f"elif not os.path.exists({str(updated)!r}): sys.exit(100)",
        )
        assert system.PackageManager("apt", ()).install(["libegl1"]) is True
        words = [line.split() for line in log.read_text().splitlines()]
        assert words == [[verb, "noninteractive"] for verb in ("install", "update", "install")]

    def test_a_machine_without_a_known_manager_gets_the_names(self, programs: Path) -> None:
        assert system.find_package_manager() is None
        assert "libEGL.so.1" in system.say_what_lacks([system.QT_ITSELF[0]])

    def test_what_stays_missing_is_returned(self, programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        absent = system.Library("libnot-on-any-machine.so.7", "not-there", "b", "c")
        monkeypatch.setattr(system, "list_needed", lambda environ: (absent,))
        monkeypatch.setattr(os, "geteuid", lambda: 0)
        write_program(programs, "apt-get", "sys.exit(100)")
        assert system.install_missing_libraries({}) == [absent]

    def test_python_without_ensurepip_gets_the_line(self, programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(system, "_can_make_venv", lambda: False)
        monkeypatch.setattr(os, "geteuid", lambda: 1000)
        with pytest.raises(StopInstalling, match="complete Python"):
            system.need_venv_support()
        write_program(programs, "apt-get", "sys.exit(0)")
        with pytest.raises(StopInstalling, match="sudo apt-get install .*python3-venv"):
            system.need_venv_support()


def test_this_python_can_make_environments() -> None:
    assert subprocess.run([sys.executable, "-I", "-c", "import ensurepip, venv"], check=False).returncode == 0
    system.need_venv_support()
