"""What Makefile starts: set-up of the environment, of the host, and the two servers together."""
