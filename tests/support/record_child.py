"""Records a paced source in a process of its own until it is killed: record_child.py FOLDER FPS WIDTH HEIGHT."""

from __future__ import annotations

import sys
from pathlib import Path

from paced_source import PacedSource

from puncta.session.record import RecordRequest, record_case


def main() -> None:
    """Record; say "ready" once frames are stored, then the newest frame that was handed in."""
    folder, fps, width, height = Path(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    said = -1

    class Told(PacedSource):
        """Tells each frame's number the moment it is handed out."""

        def read(self):  # noqa: ANN202
            nonlocal said
            frame = super().read()
            if frame is not None:
                said = frame.key.index
                sys.stdout.write(f"{said} {frame.t_ns}\n")
                sys.stdout.flush()
            return frame

    record_case(
        RecordRequest("paced", folder, plugins=()), opener=lambda _uri: Told((width, height), fps), plugins=()
    )


if __name__ == "__main__":
    main()
