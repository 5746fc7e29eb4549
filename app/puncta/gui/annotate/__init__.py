"""Annotate: labels drawn, proposed, accepted and kept, in one window."""
