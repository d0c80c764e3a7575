"""Experiments on crowds that are not honest."""
