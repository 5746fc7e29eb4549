"""All that a plugin may import, besides `puncta.core`, `puncta.imaging` and what its manifest lists."""
