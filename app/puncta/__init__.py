"""Puncta: ultrasound-guided needle procedures in simulation and training.

Not a medical device. Every screen, export and report says so.
"""

from __future__ import annotations

__version__ = "0.1.0"
