"""How a frame travels: capture, inference, and the channels between them. Plain threads, no Qt."""
