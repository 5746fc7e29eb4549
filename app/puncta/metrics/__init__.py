"""Figures of merit with their intervals: tip, detection, latency. Numbers in, numbers out; nothing is run here."""
