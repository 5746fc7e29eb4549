"""Clarius probes through a stand-in of the vendor's callback contract; the vendor's library is not here."""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from live_peers import wait_for

from puncta.core.errors import SourceError, UserError
from puncta.core.events import LinkState, SourceProblem
from puncta.core.frame import CalibrationOrigin, Frame
from puncta.formats.validate import validate
from puncta.session.record import RecordRequest, record_case
from puncta.sources import live as live_module
from puncta.sources.clarius_library import FOLDER_VARIABLE, MODULE
from puncta.sources.factory import open_source
from puncta.sources.live import LiveSource

STAND_IN = Path(__file__).parents[2] / "support" / "clarius" / "pyclariuscast.py"
URI = "clarius://192.168.1.1:5828?size=64x48"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where the vendor's files are put; empty."""
    place = tmp_path / "clarius"
    place.mkdir()
    monkeypatch.setenv(FOLDER_VARIABLE, str(place))
    monkeypatch.setenv("PUNCTA_HOME", str(tmp_path / "home"))
    monkeypatch.delitem(sys.modules, MODULE, raising=False)
    yield place
    sys.modules.pop(MODULE, None)
    sys.path_importer_cache.pop(str(place), None)
    assert not [t for t in threading.enumerate() if t.name == "clarius-stand-in"], "the vendor's threads end too"


@pytest.fixture
def probe(folder: Path) -> Iterator[object]:
    """A probe behind the stand-in; nothing of it may be left at the end."""
    shutil.copy(STAND_IN, folder)
    yield (found := module_in(folder).PROBE)
    assert found.living == [], "every connection is given back"


def module_in(folder: Path) -> ModuleType:
    """The stand-in as Puncta is going to load it."""
    from puncta.sources.clarius_library import load_library

    load_library()
    return sys.modules[MODULE]


def opened(uri: str = URI) -> LiveSource:
    source = open_source(uri)
    assert isinstance(source, LiveSource)
    return source


def refusal(uri: str = URI) -> str:
    source = opened(uri)
    with pytest.raises(SourceError) as refused:
        _ = source.info
    source.close()
    return str(refused.value)


def next_frame(source: LiveSource) -> Frame:
    def look() -> Frame | None:
        try:
            return source.read()
        except TimeoutError:
            return None

    frame = wait_for(look)
    assert isinstance(frame, Frame)
    return frame


def test_pictures_come_with_the_probes_scale_and_time(probe) -> None:  # noqa: ANN001
    source = opened()
    try:
        frames = [next_frame(source) for _ in range(4)]
        assert probe.connected_to == [("192.168.1.1", 5828, "research")]
        assert frames[0].pixels.shape == (48, 64, 3)
        red, green, blue = frames[0].pixels[0, 0]
        assert (green, blue) == (20, 10) and red >= 40, "blue comes first in the vendor's bytes"
        calibration = frames[0].geometry.calibration
        assert calibration is not None and calibration.mm_per_px == (0.2, 0.2)
        assert calibration.origin is CalibrationOrigin.VENDOR and calibration.note == "Clarius Cast"
        steps = {(b.key.pts_ns - a.key.pts_ns) % 10_000_000 for a, b in zip(frames, frames[1:], strict=False)}
        assert steps == {0}, "times are the probe's own, not those of the network"
        assert frames[0].geometry.region.origin == "vendor"
    finally:
        source.close()


def test_grey_pictures_and_a_missing_scale(probe) -> None:  # noqa: ANN001
    probe.bytes_per_pixel, probe.microns = 1, 0.0
    source = opened()
    try:
        frame = next_frame(source)
        assert frame.pixels.shape == (48, 64) and frame.pixels[3, 3] == 77
        assert frame.geometry.calibration is None
    finally:
        source.close()


def test_a_recording_of_it_keeps_scale_and_region(probe, tmp_path: Path) -> None:  # noqa: ANN001
    summary = record_case(RecordRequest(URI, tmp_path / "s", 0.2, plugins=()))
    assert summary.status.stored > 3 and validate(tmp_path / "s").problems == ()
    again = open_source(str(tmp_path / "s"))
    assert again.info.geometry.region.origin == "vendor" and again.info.geometry.calibration.note == "Clarius Cast"
    again.close()


def test_a_frozen_probe_is_told_keeps_its_connection_and_goes_on(probe, monkeypatch) -> None:  # noqa: ANN001
    monkeypatch.setattr(live_module, "GIVE_UP_S", 0.05)
    source = opened()
    try:
        next_frame(source)
        probe.frozen = True
        wait_for(lambda: not source.flowing())
        health = source.health()
        assert health.link is LinkState.SILENT and health.problem is SourceProblem.LOST
        assert "is frozen" in health.message and "button" in health.message
        probe.frozen = False
        wait_for(source.flowing)
        assert next_frame(source).pixels.shape == (48, 64, 3)
        assert source.health().connections == 1 and len(probe.connected_to) == 1
    finally:
        source.close()


def test_an_app_that_ends_and_starts_again_is_found_without_help(probe, monkeypatch) -> None:  # noqa: ANN001
    monkeypatch.setattr(live_module, "GIVE_UP_S", 0.2)
    source = opened()
    try:
        next_frame(source)
        probe.lets_in = False
        wait_for(lambda: source.health().link is LinkState.RECONNECTING and source.health().attempts >= 2)
        assert "does not let Puncta in" in source.health().message
        probe.lets_in = True
        wait_for(source.flowing)
        assert source.health().connections == 2 and len(probe.living) == 1
    finally:
        source.close()


def test_pictures_that_a_firewall_swallows_are_named_as_such(probe, monkeypatch) -> None:  # noqa: ANN001
    monkeypatch.setattr(live_module, "FIRST_PICTURE_S", 0.3)
    probe.firewall = True
    assert "firewall" in (words := refusal()) and "UDP" in words


def test_damaged_pictures_are_counted_and_never_shown(probe) -> None:  # noqa: ANN001
    source = opened()
    try:
        next_frame(source)
        probe.cut = 8
        wait_for(lambda: not source.flowing())
        probe.cut = 0
        wait_for(lambda: next_frame(source) and dict(source.health().drops).get("damaged on the way", 0) > 0)
    finally:
        source.close()


def test_a_probe_that_refuses_says_what_to_do(probe) -> None:  # noqa: ANN001
    probe.lets_in = False
    assert "start the Clarius App" in refusal()
    probe.lets_in, probe.starts = True, False
    assert "does not start" in refusal()


@pytest.mark.parametrize(("name", "value"), [("callbacks", 5), ("values", 7)])
def test_a_library_of_another_version_is_refused(probe, name: str, value: int) -> None:  # noqa: ANN001
    setattr(probe, name, value)
    assert "not of version 12" in refusal()


def test_without_the_library_it_says_where_it_belongs(folder: Path) -> None:
    words = refusal()
    assert str(folder) in words and "pyclariuscast" in words


def test_a_library_that_cannot_be_loaded_is_one_sentence(folder: Path) -> None:
    (folder / "pyclariuscast.py").write_text("raise ImportError('libssl.so.3 is missing\\nsecond line')\n")
    words = refusal()
    assert "libssl.so.3 is missing" in words and "\n" not in words


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="a shared library of Linux is made for it")
@pytest.mark.parametrize(("firmware", "fits"), [("12.0.2-673", True), ("13.1.0", False)])
def test_the_firmware_that_the_library_belongs_to_is_checked(folder: Path, firmware: str, fits: bool) -> None:
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler is here (Debian: gcc)")
    code = "#include <string.h>\nint castFwVersion(int platform, char *words, int size)"
    code += '{ (void)platform; strncpy(words, "' + firmware + '", size); return 0; }\n'
    # Each under a file of its own: a loaded library stays loaded.
    command = [compiler, "-shared", "-fPIC", "-x", "c", "-", "-o", str(folder / "libcast.so")]
    subprocess.run(command, input=code, text=True, check=True)
    shutil.copy(STAND_IN, folder)
    if not fits:
        assert f"for firmware {firmware}" in refusal()
        return
    source = opened()
    try:
        assert dict(source.info.details)["Library"] == f"for firmware {firmware}"
    finally:
        source.close()


@pytest.mark.parametrize(
    ("uri", "words"),
    [
        ("clarius://", "names no probe"),
        ("clarius://h?size=8", "size is written as"),
        ("clarius://h:99999", "no port from 1"),
        ("clarius://h?depth=3", "unknown key depth"),
    ],
)
def test_a_wrong_address_is_one_sentence(uri: str, words: str) -> None:
    with pytest.raises(UserError, match=words):
        open_source(uri)
