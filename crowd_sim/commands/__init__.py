"""What `run`, `sweep` and `value` do, for the command line and for Python alike; Ray is imported where it is used."""

IN_PROCESS = "none"
"""The Ray address that means: without Ray."""
