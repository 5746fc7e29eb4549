"""Simulated ultrasound cines with known truth. Everything made here is labelled simulated."""

from __future__ import annotations
