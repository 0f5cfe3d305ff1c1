"""One thin script per screen: each reads, draws, and calls core."""
