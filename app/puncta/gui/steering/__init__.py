"""Steering the simulator by mouse, keys and gamepad."""
