"""The HTTP door: a thin layer over `core` for feeds and programs."""
