"""Exit codes of the command line, beside 0 and those of click: 1 for an error, 2 for a faulty command line."""

INFEASIBLE = 3
"""There are results, but none meets every limit."""
INTERRUPTED = 130
"""Ended by Ctrl-C, as shells say it."""
