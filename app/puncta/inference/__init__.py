"""Registered models and the sessions that run them; the only room that knows ONNX Runtime."""
