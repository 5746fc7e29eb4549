"""The bootstrap's steps are not part of the package: they are found beside bootstrap.py."""

from __future__ import annotations

import sys
from pathlib import Path

INSTALLER = str(Path(__file__).resolve().parents[3] / "installer")
if INSTALLER not in sys.path:
    sys.path.insert(0, INSTALLER)
