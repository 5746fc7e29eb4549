"""From a name to a source: content decides, and every refusal is one plain sentence."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import numpy as np
import pytest
from dicom_maker import make_dicom
from PIL import Image

from puncta.core.errors import UserError
from puncta.sources.factory import check_source_name, kind_of_file, open_source
from puncta.sources.synthetic_video import make_vfr_video

FRAMES = np.random.default_rng(1).integers(0, 255, (3, 32, 40)).astype(np.uint8)


def first_shape(uri: str) -> tuple[int, ...]:
    source = open_source(uri)
    try:
        return source.read().pixels.shape
    finally:
        source.close()


@pytest.mark.parametrize("name", ["cine.dcm", "cine", "cine.mp4", "ünï cödé 影像.bin"])
def test_content_beats_the_ending(tmp_path: Path, name: str):
    assert first_shape(str(make_dicom(tmp_path / name, FRAMES))) == (32, 40)


def test_a_video_under_another_name(tmp_path: Path):
    make_vfr_video(tmp_path / "a.mp4", 5)
    (tmp_path / "a.mp4").rename(tmp_path / "a.dcm")
    assert first_shape(str(tmp_path / "a.dcm")) == (240, 320)


def test_a_data_set_without_preamble(tmp_path: Path):
    whole = make_dicom(tmp_path / "a.dcm", FRAMES).read_bytes()
    (tmp_path / "bare").write_bytes(whole[132:])
    assert first_shape(str(tmp_path / "bare")) == (32, 40)


def test_a_folder_a_single_picture_and_a_file_address(tmp_path: Path):
    Image.fromarray(FRAMES[0]).save(tmp_path / "one picture.png")
    assert first_shape(str(tmp_path)) == (32, 40)
    assert first_shape(str(tmp_path / "one picture.png")) == (32, 40)
    assert first_shape((tmp_path / "one picture.png").as_uri()) == (32, 40)


def test_the_stream_name_holds_no_path(tmp_path: Path):
    source = open_source(str(make_dicom(tmp_path / "cine.dcm", FRAMES)))
    assert source.info.stream == "cine.dcm" and source.read().key.stream == "cine.dcm"
    source.close()


def test_the_simulator_by_its_address():
    source = open_source("sim:breast?seed=1&machine=A&frames=2")
    assert source.info.simulated and source.read() is not None
    source.close()


@pytest.mark.parametrize("uri", ["camera:front", "rtsp://", "udp://@", "igtl://", "screen:0", "http://host/live.m3u8"])
def test_addresses_of_live_sources_that_are_none(uri: str):
    assert refusal(uri)


def refusal(uri: str) -> str:
    with pytest.raises(UserError) as caught:
        open_source(uri)
    text = str(caught.value)
    assert text.endswith(".") and "\n" not in text and "Traceback" not in text and "!" not in text
    return text


def test_refusals_name_the_file_and_what_to_do(tmp_path: Path):
    assert "missing.mp4 does not exist" in refusal(str(tmp_path / "missing.mp4"))
    (tmp_path / "empty.dcm").touch()
    assert refusal(str(tmp_path / "empty.dcm")).startswith("empty.dcm is empty")
    (tmp_path / "notes.mp4").write_text("shopping list\n" * 30)
    assert refusal(str(tmp_path / "notes.mp4")).startswith("notes.mp4 is not a video")
    (tmp_path / "notes.dcm").write_text("shopping list\n" * 30)
    assert refusal(str(tmp_path / "notes.dcm")).startswith("notes.dcm is ")
    (tmp_path / "notes.txt").write_text("shopping list")
    assert refusal(str(tmp_path / "notes.txt")).startswith("notes.txt is no picture sequence")
    (tmp_path / "bare folder").mkdir()
    assert "bare folder holds no pictures" in refusal(str(tmp_path / "bare folder"))
    assert "is not a session that can be opened" in refusal(str(session_folder(tmp_path)))
    assert "No source is named" in refusal("  ")
    assert "unknown kind" in refusal("gopher://host/x")
    assert refusal("simm:nerve").endswith("or did you mean sim:nerve.")
    assert "did you mean" not in refusal("notes:monday") and "did you mean" not in refusal("C:\\missing.mp4")
    refusal("a\0b")
    refusal("x" * 5000)


def session_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "session"
    folder.mkdir()
    (folder / "session.json").write_text("{}")
    return folder


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="an administrator may read everything")
def test_no_permission(tmp_path: Path):
    path = make_dicom(tmp_path / "a.dcm", FRAMES)
    path.chmod(0)
    assert "permission denied" in refusal(str(path))
    path.chmod(stat.S_IRUSR | stat.S_IWUSR)


def test_no_permission_as_the_system_reports_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Whoever runs the tests: the error that an unreadable file raises becomes a sentence."""
    path = make_dicom(tmp_path / "a.dcm", FRAMES)

    def refuse(*_args: object, **_kwargs: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    assert refusal(str(path)).startswith("a.dcm cannot be read: permission denied")


def test_a_device_or_pipe_is_refused(tmp_path: Path):
    if not hasattr(os, "mkfifo"):
        pytest.skip("this system has no named pipes")
    os.mkfifo(tmp_path / "pipe.mp4")
    assert "neither a file nor a folder" in refusal(str(tmp_path / "pipe.mp4"))


@pytest.mark.parametrize(
    ("head", "suffix", "kind"),
    [
        (b"\0" * 128 + b"DICM", ".mp4", "dicom"),
        (b"NRRD0004\n", "", "stack"),
        (b"ObjectType = Image\nNDims = 3\n", ".txt", "stack"),
        (b"\x89PNG\r\n\x1a\n", ".dcm", "image"),
        (b"\0\0\0\x20ftypisom", "", "video"),
        (b"RIFF\0\0\0\0AVI LIST", "", "video"),
        (b"\x1a\x45\xdf\xa3", ".dat", "video"),
        (b"words", ".mkv", "video"),
        (b"words", ".mhd", "stack"),
        (b"words", "", None),
    ],
)
def test_kinds(head: bytes, suffix: str, kind: str | None):
    assert kind_of_file(head, suffix) == kind


@pytest.mark.parametrize(
    "name",
    ["", "nothere.mp4", "sim:brest", "sim:breast?sed=1", "http://host/x", "odd://host/x", "camera:first", "rtsp://",
     "file:///nothere.dcm"],
)  # fmt: skip
def test_a_name_that_leads_nowhere_is_told_as_opening_it_would(name: str):
    with pytest.raises(UserError) as opened:
        open_source(name)
    with pytest.raises(UserError) as checked:
        check_source_name(name)
    assert str(checked.value) == str(opened.value)


def test_a_name_is_good_whatever_the_file_holds_and_whether_or_not_a_device_answers(tmp_path: Path):
    broken = tmp_path / "broken.dcm"
    broken.write_bytes(b"no picture in here")
    for name in (str(broken), broken.as_uri(), str(tmp_path), "sim:nerve?seed=3", "camera:7", "rtsp://nobody/x"):
        check_source_name(name)
