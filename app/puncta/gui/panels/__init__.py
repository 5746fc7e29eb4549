"""The parts round the picture."""
