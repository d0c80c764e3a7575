"""Where MovieLens lies."""

MOVIELENS_FOLDER = "ml-latest-small"
"""What MovieLens calls its own folder."""

DATA_VARIABLE = "CROWD_SIM_DATA"
"""Environment variable with the folder of ml-latest-small, or a folder that holds it."""
