"""Stands beside the manifest so that its entry exists; never imported."""
