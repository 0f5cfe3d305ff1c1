"""`python -m bench.NAME` prints a table, then a line of JSON; its status is 0 if its numbers are reached."""
