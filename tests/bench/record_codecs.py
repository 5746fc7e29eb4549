"""Measures lossless codecs for recording at 1920 x 1080: time of the thread, ratio, and whether the bytes come back.

    PYTHONPATH=app python tests/bench/record_codecs.py [--frames 12] [--markdown]

Time is processor time of the one thread that works, so that a busy machine changes it little. `zstandard` and `lz4`
are measured where they are installed; they are no part of the program.
"""

from __future__ import annotations

import argparse
import importlib
import statistics
import time
import zlib
from collections.abc import Callable, Iterator
from fractions import Fraction

import av
import cv2
import numpy as np

WIDTH, HEIGHT = 1920, 1080
Planes = np.ndarray


def noise(number: int) -> np.ndarray:
    """Grey noise of full depth: nothing can compress it."""
    return np.random.default_rng(number).integers(0, 256, (HEIGHT, WIDTH), np.uint8)


def speckle(number: int) -> np.ndarray:
    """Log-compressed speckle that moves, fading with depth: as a scan that fills the picture."""
    rng = np.random.default_rng(7)
    field = rng.normal(size=(HEIGHT + 64, WIDTH + 64, 2)).astype(np.float32)
    # Most of a scan's speckle stays from frame to frame and moves with the tissue; a part is new each time.
    fresh = np.random.default_rng(1000 + number).normal(size=field.shape).astype(np.float32)
    field = cv2.GaussianBlur(field * 0.95 + fresh * 0.31, (0, 0), sigmaX=2.4, sigmaY=1.2)
    envelope = np.hypot(field[..., 0], field[..., 1])[number : number + HEIGHT, :WIDTH]
    decibel = 20 * np.log10(envelope / envelope.max() + 1e-4) + 55 - np.linspace(0, 12, HEIGHT)[:, None]
    return np.clip(decibel * (255 / 60), 0, 255).astype(np.uint8)


def screen(number: int) -> np.ndarray:
    """A machine's screen: a sector of speckle, text and black round it."""
    picture, scan = np.zeros((HEIGHT, WIDTH), np.uint8), speckle(number)
    sector = np.zeros_like(picture)
    cv2.ellipse(sector, (WIDTH // 2, 60), (900, 900), 90, -40, 40, 255, -1)
    picture[sector > 0] = scan[sector > 0]
    for row in range(12):
        cv2.putText(picture, f"DEPTH {row} cm  GAIN {50 + row}", (40, 100 + 60 * row), 0, 1.0, 200, 2)
    return picture


def rgb_of(grey: np.ndarray) -> np.ndarray:
    """The same picture as a grabber hands it out in colour, with a coloured mark."""
    colour = np.repeat(grey[..., None], 3, axis=2)
    cv2.rectangle(colour, (1600, 100), (1800, 200), (40, 160, 220), -1)
    return colour


def ffmpeg(name: str, pixel_format: str, **options: str) -> tuple[Callable, Callable]:
    """Encoder and decoder of one FFmpeg codec; one thread."""
    state: dict = {}

    def encode(picture: np.ndarray, number: int) -> bytes:
        if number == 0:
            coder = av.CodecContext.create(name, "w")
            coder.width, coder.height, coder.pix_fmt = WIDTH, HEIGHT, pixel_format
            coder.time_base, coder.thread_count = Fraction(1, 1000), 1
            coder.options = options
            state["coder"] = coder
        frame = frame_of(picture, pixel_format)
        frame.pts, frame.time_base = number, Fraction(1, 1000)
        return b"".join(bytes(packet) for packet in state["coder"].encode(frame))

    def decode(packets: list[bytes]) -> Iterator[np.ndarray]:
        reader = av.CodecContext.create("h264" if name.startswith("libx264") else name, "r")
        reader.width, reader.height, reader.pix_fmt = WIDTH, HEIGHT, pixel_format
        reader.extradata, reader.thread_count = state["coder"].extradata, 1
        for packet in [*packets, None]:
            for frame in reader.decode(av.Packet(packet) if packet is not None else None):
                yield picture_of(frame, pixel_format)

    return encode, decode


def frame_of(picture: np.ndarray, pixel_format: str) -> av.VideoFrame:
    """Put a picture into a frame of a format, without a change of its samples."""
    if picture.ndim == 3 and pixel_format == "gbrp":
        frame = av.VideoFrame(WIDTH, HEIGHT, "gbrp")
        for plane, channel in zip(frame.planes, (1, 2, 0)):
            plane.update(np.ascontiguousarray(picture[..., channel]))
        return frame
    if picture.ndim == 3:
        return av.VideoFrame.from_ndarray(picture, format=pixel_format)
    frame = av.VideoFrame(WIDTH, HEIGHT, pixel_format)
    for number, plane in enumerate(frame.planes):
        if number == 0:
            plane.update(picture)
        else:
            plane.update(bytes([128]) * plane.buffer_size)
    return frame


def picture_of(frame: av.VideoFrame, pixel_format: str) -> np.ndarray:
    """The samples of a decoded frame."""
    if pixel_format == "gbrp":
        green, blue, red = (np.frombuffer(p, np.uint8).reshape(HEIGHT, -1)[:, :WIDTH] for p in frame.planes)
        return np.dstack([red, green, blue])
    if pixel_format in ("rgb24", "bgr24", "bgr0"):
        return frame.to_ndarray(format=pixel_format)[..., :3]
    return np.frombuffer(frame.planes[0], np.uint8).reshape(HEIGHT, -1)[:, :WIDTH].copy()


def packer(name: str, level: int, *, up: bool) -> tuple[Callable, Callable] | None:
    """A general compressor over the plane, or over each row's difference to the row above."""
    try:
        if name == "zlib":
            pack: Callable = lambda data: zlib.compress(data, level)  # noqa: E731
            unpack: Callable = zlib.decompress
        elif name == "zstd":
            library = importlib.import_module("zstandard")
            pack, unpack = library.ZstdCompressor(level=level).compress, library.ZstdDecompressor().decompress
        else:
            library = importlib.import_module("lz4.block")
            pack, unpack = library.compress, library.decompress
    except ImportError:
        return None
    shapes: list[tuple[int, ...]] = []

    def encode(picture: np.ndarray, _number: int) -> bytes:
        shapes[:] = [picture.shape]
        if up:
            delta = picture.copy()
            delta[1:] -= picture[:-1]
            picture = delta
        return pack(picture.tobytes())

    def decode(packets: list[bytes]) -> Iterator[np.ndarray]:
        for packet in packets:
            values = np.frombuffer(unpack(packet), np.uint8).reshape(shapes[0])
            yield np.add.accumulate(values, axis=0, dtype=np.uint8) if up else values

    return encode, decode


def candidates() -> dict[str, tuple[str, tuple[Callable, Callable] | None]]:
    """All that are measured: name -> (kind of picture, encoder and decoder)."""
    x264 = {"preset": "ultrafast", "qp": "0", "tune": "zerolatency"}
    slices = {"level": "3", "slices": "16", "slicecrc": "1", "coder": "rice", "context": "0"}
    return {
        "raw, no codec": ("both", (lambda p, _n: p.tobytes(), None)),
        "x264 qp 0 ultrafast gray, 30 apart": ("grey", ffmpeg("libx264", "gray", g="30", **x264)),
        "x264 qp 0 ultrafast gray, all keys": ("grey", ffmpeg("libx264", "gray", g="1", **x264)),
        "FFV1 16 slices rice gray": ("grey", ffmpeg("ffv1", "gray", **slices)),
        "FFV1 16 slices range gray": ("grey", ffmpeg("ffv1", "gray", **{**slices, "coder": "range_def"})),
        "MagicYUV gray left": ("grey", ffmpeg("magicyuv", "gray", pred="left")),
        "MagicYUV gray median": ("grey", ffmpeg("magicyuv", "gray", pred="median")),
        "FFVHuff yuv420p (grey luma)": ("grey", ffmpeg("ffvhuff", "yuv420p", pred="left")),
        "Ut Video yuv420p (grey luma)": ("grey", ffmpeg("utvideo", "yuv420p", pred="left")),
        "zlib 1": ("both", packer("zlib", 1, up=False)),
        "zlib 1, rows' difference": ("both", packer("zlib", 1, up=True)),
        "zstd 1": ("both", packer("zstd", 1, up=False)),
        "zstd 1, rows' difference": ("both", packer("zstd", 1, up=True)),
        "lz4": ("both", packer("lz4", 1, up=False)),
        "lz4, rows' difference": ("both", packer("lz4", 1, up=True)),
        "x264 qp 0 ultrafast rgb24, 30 apart": ("colour", ffmpeg("libx264rgb", "rgb24", g="30", **x264)),
        "FFV1 16 slices rice bgr0": ("colour", None),
        "MagicYUV gbrp left": ("colour", ffmpeg("magicyuv", "gbrp", pred="left")),
        "MagicYUV gbrp median": ("colour", ffmpeg("magicyuv", "gbrp", pred="median")),
        "Ut Video gbrp left": ("colour", ffmpeg("utvideo", "gbrp", pred="left")),
    }


def measure(pair: tuple[Callable, Callable | None], pictures: list[np.ndarray]) -> tuple[float, float, float, bool]:
    """Time to encode and to decode a frame [ms], compressed share, and whether all bytes came back."""
    encode, decode = pair
    packets, took, took_back = [], [], []
    for number, picture in enumerate(pictures):
        begun = time.thread_time()
        packets.append(encode(picture, number))
        took.append(time.thread_time() - begun)
    share = sum(map(len, packets)) / sum(p.nbytes for p in pictures)
    if decode is None:
        return statistics.median(took) * 1e3, 0.0, share, True
    same, count, begun = True, 0, time.thread_time()
    for picture, back in zip(pictures, decode([p for p in packets if p])):
        took_back.append(time.thread_time() - begun)
        same, count = same and np.array_equal(picture, back), count + 1
        begun = time.thread_time()
    return statistics.median(took) * 1e3, statistics.median(took_back) * 1e3, share, same and count == len(pictures)


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=12)
    frames = parser.parse_args().frames
    print("| codec | picture | encode [ms] | decode [ms] | of raw | same bytes |\n|---|---|---|---|---|---|")
    for label, make in (("noise", noise), ("speckle", speckle), ("screen", screen)):
        grey = [make(n) for n in range(frames)]
        colour = [rgb_of(p) for p in grey]
        for name, (kind, pair) in candidates().items():
            if pair is None:
                continue
            for variant, pictures in (("grey", grey), ("colour", colour)):
                if kind not in (variant, "both"):
                    continue
                try:
                    took, back, share, same = measure(pair, pictures)
                except (av.FFmpegError, ValueError, RuntimeError) as error:
                    print(f"| {name} | {label}, {variant} | - | - | - | {error} |")
                    continue
                row = f"{took:.1f} | {back:.1f} | {100 * share:.0f} % | {same}"
                print(f"| {name} | {label}, {variant} | {row} |", flush=True)


if __name__ == "__main__":
    main()
