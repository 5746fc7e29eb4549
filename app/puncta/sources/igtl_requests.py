"""What is asked of an OpenIGTLink server that does not start by itself: STT_TDATA for poses, STT_IMAGE for pictures.

Source: OpenIGTLink protocol, version 2 ("STT_" messages), openigtlink.org, and the structures of its C library: a
STT_TDATA body is a resolution (int32, the least time between two frames [ms]) and the name of a coordinate system (32
bytes). STT_IMAGE has a name in the protocol and no body that any library defines; it is sent without one.
"""

from __future__ import annotations

import struct

from puncta.sources.igtl_messages import HEADER, crc64

POSE_EVERY_MS = 20
"""Poses are asked for this often [ms]: 0 would be as fast as the server can, which floods a line."""
_START = struct.Struct(">i32s")


def start_poses() -> bytes:
    """Return the message that asks for tracking data."""
    return _message(b"STT_TDATA", b"", _START.pack(POSE_EVERY_MS, b""))


def start_pictures(device: str) -> bytes:
    """Return the message that asks for the pictures of a device; an empty name means any."""
    return _message(b"STT_IMAGE", device.encode("ascii", "replace")[:20], b"")


def _message(kind: bytes, device: bytes, body: bytes) -> bytes:
    return HEADER.pack(1, kind, device, 0, len(body), crc64(body) if body else 0) + body
