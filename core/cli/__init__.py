"""Commands of `python -m core`, and how they speak to a terminal."""
