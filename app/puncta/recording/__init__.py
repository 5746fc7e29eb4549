"""Writing pictures and videos: the second renderer of overlay scenes, and the encoder of exports."""
