"""Videos: the frame asked for is the frame delivered, with its own time and its own bytes."""

from __future__ import annotations

import random
import shutil
import subprocess
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from puncta.core.errors import SourceError, UserError
from puncta.sources.synthetic_video import (
    TIME_BASE,
    VideoPlan,
    make_vfr_video,
    numbered_picture,
    read_number,
    uneven_pts,
)
from puncta.sources.video_file import VideoReader, open_video

FFMPEG = shutil.which("ffmpeg")
needs_ffmpeg = pytest.mark.skipif(FFMPEG is None, reason="the independent decoder ffmpeg is not installed")
OPEN_GOP = (("preset", "ultrafast"), ("x264-params", "open-gop=1:bframes=3:keyint=24:min-keyint=24:scenecut=0"))
TINY_CACHE = 300_000
"""Bytes for two frames or three, so that seeks have to decode."""


def wrong_seeks(source, numbers: list[int], tries: int, seed: int) -> int:
    """Seek at random and count frames whose burnt-in number, index or time is not the one asked for."""
    rng, wrong = random.Random(seed), 0
    for _ in range(tries):
        index = rng.randrange(len(numbers))
        source.seek(index)
        frame = source.read()
        right = (
            frame is not None
            and frame.key.index == index
            and frame.key.pts_ns == source.info.times_ns[index]
            and read_number(frame.pixels) == numbers[index]
        )
        wrong += not right
    return wrong


def play(source) -> list[int | None]:
    numbers = []
    while (frame := source.read()) is not None:
        assert frame.key.index == len(numbers)
        numbers.append(read_number(frame.pixels))
    return numbers


def test_thousand_seeks_in_a_variable_rate_file(tmp_path: Path):
    path = tmp_path / "uneven.mp4"
    pts = make_vfr_video(path, 160, seed=3)
    source = open_video(path, limit_bytes=TINY_CACHE)
    try:
        assert len(set(np.diff(source.info.times_ns).tolist())) > 4, "the file must really have a variable rate"
        assert source.info.times_ns.tolist() == [round(Fraction(p) * TIME_BASE * 10**9) for p in pts]
        assert play(source) == list(range(160))
        assert wrong_seeks(source, list(range(160)), 1000, seed=1) == 0
    finally:
        source.close()


def test_the_generated_file_holds_b_frames_and_several_key_frames(tmp_path: Path):
    path = tmp_path / "uneven.mp4"
    make_vfr_video(path, 120, seed=3)
    with av.open(str(path)) as container:
        packets = [p for p in container.demux(container.streams.video[0]) if p.size]
    assert [p.pts for p in packets] != sorted(p.pts for p in packets)
    assert sum(p.is_keyframe for p in packets) >= 3


@pytest.mark.parametrize(
    ("name", "plan"),
    [
        ("late.mp4", VideoPlan(start_pts=7 * 90_000)),
        ("uneven.mkv", VideoPlan()),
        ("open-gop.mp4", VideoPlan(options=OPEN_GOP)),
        ("open-gop.mkv", VideoPlan(options=OPEN_GOP)),
        ("broadcast.ts", VideoPlan()),
        ("b-frames.avi", VideoPlan(variable=False)),
        ("motion.avi", VideoPlan(codec="mjpeg", options=(), pix_fmt="yuvj420p", b_frames=0, variable=False)),
        ("lossless.mkv", VideoPlan(codec="ffv1", options=(), pix_fmt="gray", b_frames=0)),
        ("ten-bits.mkv", VideoPlan(codec="ffv1", options=(), pix_fmt="yuv420p10le", b_frames=0)),
        (
            "refresh.mp4",
            VideoPlan(options=(("preset", "ultrafast"), ("x264-params", "intra-refresh=1:keyint=24")), b_frames=0),
        ),
    ],
)
def test_seeks_are_exact_in_other_containers_and_codings(tmp_path: Path, name: str, plan: VideoPlan):
    path = tmp_path / name
    make_vfr_video(path, 70, seed=5, plan=plan)
    source = open_video(path, limit_bytes=TINY_CACHE)
    try:
        assert play(source) == list(range(70))
        assert wrong_seeks(source, list(range(70)), 60, seed=2) == 0
    finally:
        source.close()


def test_times_are_raw_and_may_start_late(tmp_path: Path):
    path = tmp_path / "late.mp4"
    make_vfr_video(path, 10, plan=VideoPlan(start_pts=630_000, variable=False))
    source = open_video(path)
    assert source.info.times_ns.tolist() == [7_000_000_000 + 40_000_000 * i for i in range(10)]
    source.close()


@needs_ffmpeg
def test_a_cut_with_an_edit_list_shows_what_another_player_shows(tmp_path: Path):
    whole, cut = tmp_path / "whole.mp4", tmp_path / "cut.mp4"
    make_vfr_video(whole, 120, seed=5)
    subprocess.run([FFMPEG, "-v", "error", "-ss", "1.3", "-i", whole, "-c", "copy", cut], check=True)
    reference = independent_hashes(cut)
    source = open_video(cut, limit_bytes=TINY_CACHE)
    found = [(f.key.index, f.digest()) for f in iter(source.read, None)]
    assert found == list(enumerate(digest for _, digest in reference))
    source.seek(40)
    assert source.read().digest() == reference[40][1]
    source.close()


@needs_ffmpeg
def test_a_raw_stream_without_times_is_counted(tmp_path: Path):
    whole, raw = tmp_path / "whole.mp4", tmp_path / "stream.h264"
    make_vfr_video(whole, 60, seed=5, plan=VideoPlan(variable=False))
    subprocess.run([FFMPEG, "-v", "error", "-i", whole, "-c", "copy", "-f", "h264", raw], check=True)
    source = open_video(raw, limit_bytes=TINY_CACHE)
    assert play(source) == list(range(60))
    assert wrong_seeks(source, list(range(60)), 20, seed=2) == 0
    source.close()


def independent_hashes(path: Path) -> list[tuple[int, str]]:
    """Time [units of the stream] and hash of each frame, by the command-line program ffmpeg."""
    command = [FFMPEG, "-v", "error", "-i", str(path), "-map", "0:v:0", "-fps_mode", "passthrough"]
    listed = subprocess.run(
        [*command, "-f", "framehash", "-hash", "sha256", "-"], check=True, capture_output=True, text=True
    ).stdout
    rows = [line.split(",") for line in listed.splitlines() if line and not line.startswith("#")]
    return [(int(row[2]), row[5].strip()) for row in rows]


@needs_ffmpeg
@pytest.mark.parametrize(
    ("codec", "pix_fmt"),
    [
        ("libx264", "yuv420p"),
        ("libx264", "yuv444p"),
        ("ffv1", "gray"),
        ("ffv1", "yuv422p10le"),
        ("ffv1", "gray16le"),
        ("png", "rgb24"),
        ("png", "pal8"),
        ("rawvideo", "nv12"),
        ("rawvideo", "yuyv422"),
        ("mjpeg", "yuvj420p"),
    ],
)
def test_planes_hash_like_an_independent_raw_decode(tmp_path: Path, codec: str, pix_fmt: str):
    path = tmp_path / "clip.mkv"
    if pix_fmt == "pal8":
        source_filter = ["-f", "lavfi", "-i", "testsrc=s=98x62:r=5:d=1"]
        command = [FFMPEG, "-v", "error", *source_filter, "-c:v", codec, "-pix_fmt", pix_fmt, path]
        if subprocess.run(command, check=False, capture_output=True).returncode:
            pytest.skip("this ffmpeg writes no palette pictures")
    else:
        filters = ["-f", "lavfi", "-i", "testsrc2=s=98x62:r=5:d=1"]
        subprocess.run([FFMPEG, "-v", "error", *filters, "-c:v", codec, "-pix_fmt", pix_fmt, path], check=True)
    source = open_video(path)
    digests = [frame.digest() for frame in iter(source.read, None)]
    source.close()
    assert digests == [digest for _, digest in independent_hashes(path)]


@needs_ffmpeg
@pytest.mark.parametrize("matrix", ["bt709", "smpte170m"])
@pytest.mark.parametrize("colour_range", ["tv", "pc"])
def test_colours_follow_the_stated_matrix_and_range(tmp_path: Path, matrix: str, colour_range: str):
    path = tmp_path / "colour.mkv"
    # A plain red: its luma and chroma differ by matrix and range, its RGB must not.
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv444p"
        kr, kb = {"bt709": (0.2126, 0.0722), "smpte170m": (0.299, 0.114)}[matrix]
        rgb = np.array([200.0, 40.0, 40.0]) / 255
        luma = kr * rgb[0] + (1 - kr - kb) * rgb[1] + kb * rgb[2]
        chroma = [(rgb[2] - luma) / (2 * (1 - kb)), (rgb[0] - luma) / (2 * (1 - kr))]
        scale = (219, 224, 16) if colour_range == "tv" else (255, 255, 0)
        values = [luma * scale[0] + scale[2], chroma[0] * scale[1] + 128, chroma[1] * scale[1] + 128]
        planes = np.stack([np.full((48, 64), round(v), np.uint8) for v in values])
        frame = av.VideoFrame.from_ndarray(planes, format="yuv444p")
        codec = stream.codec_context
        codec.color_range = 1 if colour_range == "tv" else 2
        codec.colorspace = 1 if matrix == "bt709" else 6
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    source = open_video(path)
    pixels = source.read().pixels
    source.close()
    assert np.abs(pixels.reshape(-1, 3).astype(int) - [200, 40, 40]).max() <= 3


def test_grey_video_is_delivered_grey_and_in_full_range(tmp_path: Path):
    path = tmp_path / "grey.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        planes = np.full((72, 64), 128, np.uint8)
        planes[:48] = np.linspace(16, 235, 64).round().astype(np.uint8)
        container.mux(stream.encode(av.VideoFrame.from_ndarray(planes, format="yuv420p")))
        container.mux(stream.encode(None))
    source = open_video(path)
    frame = source.read()
    source.close()
    assert frame.pixels.shape == (48, 64)
    assert (frame.pixels[0, 0], frame.pixels[0, -1]) == (0, 255)
    assert frame.planes[0][0, 0] == 16, "planes stay as stored"


def test_frames_held_are_bounded_by_bytes(tmp_path: Path):
    path = tmp_path / "long.mp4"
    make_vfr_video(path, 150, plan=VideoPlan(variable=False))
    one_frame = 320 * 240 * 3 // 2
    reader = VideoReader(path, limit_bytes=6 * one_frame)
    most = 0
    for index in [*range(150), *range(149, -1, -7)]:
        assert read_number(reader.picture(index).pixels) == index
        most = max(most, reader.held_frames)
    reader.close()
    assert 2 <= most <= 10, "the cache is bounded by bytes, plus what one packet decodes to"


def test_stepping_back_inside_the_cache_decodes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "clip.mp4"
    make_vfr_video(path, 60, plan=VideoPlan(variable=False))
    reader = VideoReader(path)
    for index in range(51):
        reader.picture(index)
    monkeypatch.setattr(reader, "_next_frame", lambda: pytest.fail("decoded again"))
    for index in range(50, 40, -1):
        assert read_number(reader.picture(index).pixels) == index
    reader.close()


def test_sequential_reading_never_seeks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "clip.mp4"
    make_vfr_video(path, 60)
    source = open_video(path, limit_bytes=TINY_CACHE)
    source.read()
    reader = source._reader
    monkeypatch.setattr(reader, "_seek_to_key", lambda _key: pytest.fail("sought while playing"))
    reader._reopen()
    assert play_from(source, 1) == list(range(1, 60))
    source.close()


def play_from(source, index: int) -> list[int | None]:
    source.seek(index)
    return [read_number(f.pixels) for f in iter(source.read, None)]


def test_damage_in_the_middle_ends_with_one_sentence(tmp_path: Path):
    path = tmp_path / "clip.mp4"
    make_vfr_video(path, 120, seed=5)
    data = bytearray(path.read_bytes())
    start = data.index(b"mdat") + (len(data) - data.index(b"mdat")) // 2
    data[start : start + 5000] = np.random.default_rng(1).bytes(5000)
    path.write_bytes(data)
    source = open_video(path)
    numbers = []
    with pytest.raises(SourceError, match=r"clip\.mp4 is damaged near .*another copy\.$"):
        while (frame := source.read()) is not None:
            numbers.append(read_number(frame.pixels))
    source.close()
    assert 10 < len(numbers) < 115
    assert numbers == list(range(len(numbers))), "no patched-up picture is delivered"


def test_frames_lost_inside_a_matroska_file_are_counted_as_skipped_or_absent(tmp_path: Path):
    path = tmp_path / "clip.mkv"
    make_vfr_video(path, 120, seed=5)
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 3000] = np.random.default_rng(1).bytes(3000)
    path.write_bytes(data)
    source = open_video(path)
    numbers = []
    try:
        while (frame := source.read()) is not None:
            numbers.append(read_number(frame.pixels))
    except SourceError:
        pass
    source.close()
    assert None not in numbers and numbers == sorted(set(numbers)), "what is shown is whole and in order"


def test_a_cut_off_file_plays_what_is_there_and_says_so(tmp_path: Path):
    whole, path = tmp_path / "whole.mkv", tmp_path / "cut.mkv"
    make_vfr_video(whole, 150, seed=5)
    path.write_bytes(whole.read_bytes()[: whole.stat().st_size // 3])
    source = open_video(path)
    count = 0
    with pytest.raises(SourceError, match=r"cut\.mkv is cut off: it ends at .* get a complete copy\.$"):
        while source.read() is not None:
            count += 1
    source.close()
    assert count == source.info.frame_count > 5


@pytest.mark.parametrize("content", [b"just some words\n" * 40, b"\0\0\0\x18ftypmp42" + b"\0" * 400, b"\0"])
def test_what_is_no_video_is_refused_by_one_sentence(tmp_path: Path, content: bytes):
    path = tmp_path / "notes.mp4"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"^notes\.mp4 is not a video.*\.$"):
        open_video(path)


def test_seek_outside_is_a_plain_error(tmp_path: Path):
    path = tmp_path / "clip.mp4"
    make_vfr_video(path, 10)
    source = open_video(path)
    for index in (-1, 10):
        with pytest.raises(UserError, match="frames 0 to 9"):
            source.seek(index)
    source.close()
    source.close()
    assert source.read() is None


def test_a_second_decode_gives_the_same_bytes(tmp_path: Path):
    path = tmp_path / "clip.mp4"
    make_vfr_video(path, 40)
    digests = []
    for order in (range(40), reversed(range(40))):
        source = open_video(path, limit_bytes=TINY_CACHE)
        found = {}
        for index in order:
            source.seek(index)
            found[index] = source.read().digest()
        source.close()
        digests.append(found)
    assert digests[0] == digests[1]


def test_sound_and_cover_pictures_do_not_disturb(tmp_path: Path):
    path = tmp_path / "sound.mp4"
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=25, options={"preset": "ultrafast"})
        video.width, video.height, video.pix_fmt = 320, 240, "yuv420p"
        audio = container.add_stream("aac", rate=48_000)
        for number in range(30):
            frame = av.VideoFrame.from_ndarray(numbered_picture(number), format="gray").reformat(format="yuv420p")
            frame.pts, frame.time_base = number, Fraction(1, 25)
            container.mux(video.encode(frame))
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        sound.sample_rate, sound.pts = 48_000, 0
        container.mux(audio.encode(sound))
        container.mux(audio.encode(None))
        container.mux(video.encode(None))
    source = open_video(path)
    assert play(source) == list(range(30))
    source.close()


def test_uneven_times_are_seeded_and_ascend():
    assert uneven_pts(50, 1) == uneven_pts(50, 1) != uneven_pts(50, 2)
    assert (np.diff(uneven_pts(50, 1)) > 0).all()


def test_a_picture_says_its_number():
    assert [read_number(numbered_picture(n)) for n in (0, 1, 12_345, 2**20 - 1)] == [0, 1, 12_345, 2**20 - 1]
    assert read_number(np.full((240, 320), 128, np.uint8)) is None
