"""Painted anatomies: builders of simulated subjects."""
