"""Transformers from a folder, complete or not at all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from crowd_sim.errors import InputError
from crowd_sim.models.model_hub import require


def load_model(
    model: str,
    folder: Path,
    kind: str,
    unused: str | None = None,
    field: str = "phi.model",
    dtype: Any = "float32",
    how: Mapping[str, Any] | None = None,
) -> Any:
    """A model in evaluation mode on the CPU; none of its weights drawn at random.

    Args:
        model: its name, for the errors.
        folder: the folder.
        kind: the class in transformers, for example ``AutoModel``.
        unused: weights that may be missing, by the first part of their name.
        field: where the name comes from, for the errors.
        dtype: of the weights.
        how: whatever else `from_pretrained` should hear.

    Raises:
        InputError: no weights, damaged ones, or some that the architecture needs are missing.
    """
    transformers = require("transformers", field, model)
    own = {"dtype": dtype, "output_loading_info": True, **(how or {})}
    try:
        with only_errors():
            loaded, info = getattr(transformers, kind).from_pretrained(folder, **own)
    except Exception as error:  # of any class: it depends on the file that is missing or damaged
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise InputError(field, model, f"a folder with configuration and weights is needed ({first})") from error
    missing = sorted(name for name in info["missing_keys"] if unused is None or name.split(".")[0] != unused)
    missing += sorted(str(key) for key in info.get("mismatched_keys", ()))
    if missing:
        allowed = f"weights for all of the model are needed; {len(missing)} are missing, for example {missing[0]}"
        raise InputError(field, model, allowed)
    return loaded.eval()


@contextmanager
def only_errors() -> Iterator[None]:
    """Within it transformers shows errors, but neither warnings nor progress bars of its own."""
    from transformers.utils import logging

    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()
