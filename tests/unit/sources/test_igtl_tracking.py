"""OpenIGTLink's transforms: what each kind of message says, and that damaged ones say nothing."""

from __future__ import annotations

import math
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from puncta.sources.igtl_messages import BadMessage, Header
from puncta.sources.igtl_tracking import read_transforms
from puncta.sources.transforms import KEPT, NAMES, TransformBox


def header(kind: str, size: int, *, version: int = 1, device: str = "ProbeToTracker") -> Header:
    return Header(version, kind, device, 0, size, 0)


def columns_of(matrix: np.ndarray) -> bytes:
    """The 12 numbers as the protocol sends them: column by column."""
    return struct.pack(">12f", *matrix[:3].T.ravel())


def turned(angle_deg: float, place: tuple[float, float, float]) -> np.ndarray:
    """A turn about the z axis, then a shift [mm]."""
    c, s = math.cos(math.radians(angle_deg)), math.sin(math.radians(angle_deg))
    return np.array([[c, -s, 0, place[0]], [s, c, 0, place[1]], [0, 0, 1, place[2]], [0, 0, 0, 1]])


def quaternion_of(angle_deg: float) -> tuple[float, float, float, float]:
    half = math.radians(angle_deg) / 2
    return 0.0, 0.0, math.sin(half), math.cos(half)


MATRIX = turned(30.0, (10.0, -20.0, 55.5))
PLACE, QUATERNION = (10.0, -20.0, 55.5), quaternion_of(30.0)
ELEMENTS = {
    "TDATA": [struct.pack(">20sBB", name, 1, 0) + columns_of(turned(a, PLACE)) for name, a in ((b"A", 30), (b"B", 90))],
    "QTDATA": [
        struct.pack(">20sBB7f", name, 1, 0, *PLACE, *quaternion_of(a)) for name, a in ((b"A", 30.0), (b"B", 90.0))
    ],
}


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("TRANSFORM", columns_of(MATRIX)),
        ("POSITION", struct.pack(">7f", *PLACE, *QUATERNION)),
        ("QTRANS", struct.pack(">7f", *PLACE, *QUATERNION)),
        ("POSITION", struct.pack(">6f", *PLACE, *QUATERNION[:3])),
    ],
)
def test_one_transform_comes_out_as_it_was_sent(kind: str, body: bytes) -> None:
    ((name, matrix),) = read_transforms(header(kind, len(body)), body)
    assert name == "ProbeToTracker"
    assert np.array(matrix).reshape(4, 4) == pytest.approx(MATRIX, abs=1e-5)


def test_a_place_alone_has_no_turn() -> None:
    body = struct.pack(">3f", *PLACE)
    ((_name, matrix),) = read_transforms(header("POSITION", 12), body)
    assert np.array(matrix).reshape(4, 4) == pytest.approx(turned(0.0, PLACE))


@pytest.mark.parametrize("kind", ["TDATA", "QTDATA"])
def test_several_tools_keep_their_own_names(kind: str) -> None:
    body = b"".join(ELEMENTS[kind])
    found = dict(read_transforms(header(kind, len(body)), body))
    assert set(found) == {"A", "B"}
    assert np.array(found["A"]).reshape(4, 4) == pytest.approx(MATRIX, abs=1e-5)
    assert np.array(found["B"]).reshape(4, 4) == pytest.approx(turned(90.0, PLACE), abs=1e-5)
    nameless = b"\0" * 20 + ELEMENTS[kind][0][20:]
    assert read_transforms(header(kind, len(nameless)), nameless)[0][0] == "ProbeToTracker"


def test_version_2_wraps_the_same_content() -> None:
    content = columns_of(MATRIX)
    body = struct.pack(">HHII", 12, 0, 4, 1) + content + b"meta"
    ((_name, matrix),) = read_transforms(header("TRANSFORM", len(body), version=2), body)
    assert np.array(matrix).reshape(4, 4) == pytest.approx(MATRIX, abs=1e-5)


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("TRANSFORM", columns_of(MATRIX)[:-1]),
        ("TRANSFORM", struct.pack(">12f", *([1.0] * 11), math.nan)),
        ("POSITION", struct.pack(">7f", *PLACE, 0.0, 0.0, 0.0, 0.2)),
        ("POSITION", struct.pack(">7f", *PLACE, math.nan, 0.0, 0.0, 1.0)),
        ("TDATA", ELEMENTS["TDATA"][0] + b"\0"),
        ("QTDATA", ELEMENTS["QTDATA"][0][:-1]),
        ("STATUS", b""),
    ],
)
def test_what_is_damaged_is_refused(kind: str, body: bytes) -> None:
    with pytest.raises(BadMessage):
        read_transforms(header(kind, len(body)), body)


@given(
    st.sampled_from(["TRANSFORM", "POSITION", "QTRANS", "TDATA", "QTDATA"]), st.integers(1, 2), st.binary(max_size=200)
)
def test_no_bytes_bring_it_down(kind: str, version: int, body: bytes) -> None:
    try:
        found = read_transforms(header(kind, len(body), version=version), body)
    except BadMessage:
        return
    assert all(len(matrix) == 16 and all(map(math.isfinite, matrix)) for _name, matrix in found)


def test_what_waits_is_bounded_and_taken_once() -> None:
    box = TransformBox()
    box.put(("A", (0.0,) * 16, n * 50_000_000) for n in range(KEPT + 5))
    waiting = box.take()
    assert len(waiting) == KEPT and waiting[-1][2] == (KEPT + 4) * 50_000_000
    assert box.take() == []


def test_rates_are_those_of_the_last_seconds() -> None:
    box = TransformBox()
    box.put(("A", (0.0,) * 16, n * 50_000_000) for n in range(100))
    box.put((f"name {n}", (0.0,) * 16, 0) for n in range(2 * NAMES))
    rates = dict(box.rates(5_000_000_000))
    assert rates["A"] == pytest.approx(20.0, rel=0.06)
    assert len(rates) == NAMES and rates["name 1"] == 0.0
