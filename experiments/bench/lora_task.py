"""What all ways of tuning LoRA candidates are given, and what is measured of each; see `experiments.bench.lora`."""

from __future__ import annotations

import multiprocessing
import platform
import resource
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

from crowd_sim.crowd.sources.goemotions import PROMPT
from crowd_sim.models.adapters import LoraSpec, target_names
from crowd_sim.models.generation import Sampling
from crowd_sim.models.language_model import PACKAGED, Base, Device, DType, load_base
from crowd_sim.models.packing import Tokens
from crowd_sim.models.training import Training

TEMPLATE = "<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n"
EXAMPLES, OUTPUTS = 33, 50
SPEC, TRAINING, SAMPLING = LoraSpec(), Training(epochs=3, batch_size=8), Sampling(32, 0.7)

RANDOM = "random-llama-1b"
"""A Llama of 1.07 billion parameters under the packaged model's tokenizer, drawn at random: speed asks for no more."""

_SIZES = {
    "hidden_size": 2048,
    "intermediate_size": 8192,
    "num_hidden_layers": 16,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
}

T = TypeVar("T")


@dataclass(frozen=True)
class Task:
    """What all ways do.

    Attributes:
        model: as `load_base` takes it; so are `device`, `dtype` and `threads`.
        candidates: K.
        texts: that are learnt from, dealt to the candidates in turn, `EXAMPLES` to each.
    """

    model: str
    device: Device
    dtype: DType
    threads: int
    candidates: int
    texts: tuple[str, ...]


@dataclass(frozen=True)
class Measured:
    """One way's figures.

    Attributes:
        tuning: seconds.
        generating: seconds.
        trained: tokens that were predicted in tuning, all epochs of all candidates together.
        generated: tokens of the outputs, their ends included.
        flops: of tuning, see `tuning_flops`.
        memory: the most ever held, in bytes: of the process, or on a GPU what torch had allocated there.
        parameters: of the model, without adapters.
        dtype: what the model computed in.
        hardware: the name of the GPU or of the processor.
    """

    tuning: float
    generating: float
    trained: int
    generated: int
    flops: int
    memory: int
    parameters: int
    dtype: str
    hardware: str

    @property
    def seconds(self) -> float:
        """Of tuning and generating."""
        return self.tuning + self.generating

    def peak_share(self, peak_tflops: float) -> float:
        """Share of the hardware's peak, in 10¹² operations per second, that tuning came to."""
        return self.flops / (self.tuning * peak_tflops * 1e12)


@dataclass(frozen=True, eq=False)
class Prepared:
    """A task's model and its candidates' examples; and the model's sizes, as adapters wrap its modules later on."""

    task: Task
    base: Base
    jobs: tuple[tuple[Tokens, ...], ...]
    parameters: int
    adapted: int
    output: int

    @property
    def few(self) -> tuple[Tokens, ...]:
        """Examples of a step that is not measured: libraries are loaded and kernels compiled when they are first used."""
        return self.jobs[0][: TRAINING.batch_size]

    def clock(self) -> float:
        """Seconds, when all that was asked of the device is done; with one thread, those that this process had of its core."""
        if self.base.device.type == "cuda":
            import torch

            torch.cuda.synchronize()
        elif self.task.threads == 1:
            return time.process_time()
        return time.perf_counter()

    def measured(self, tuning: float, generating: float, seen: int, trained: int, generated: int) -> Measured:
        """The figures, with the memory held up to now; `seen` as `tuning_flops` takes it."""
        flops = tuning_flops(self.adapted, self.output, seen, trained)
        dtype = str(self.base.dtype).removeprefix("torch.")
        memory, hardware = _memory(self.base.device), _hardware(self.base.device)
        return Measured(tuning, generating, trained, generated, flops, memory, self.parameters, dtype, hardware)


def prepare(task: Task) -> Prepared:
    """Load the model and deal the texts.

    Raises:
        InputError: a model or device that cannot be used.
    """
    base = load_base(task.model, task.device, task.dtype, task.threads)
    tokenizer = base.tokenizer
    prompt = tuple(tokenizer(TEMPLATE.format(PROMPT), add_special_tokens=False)["input_ids"])
    rows = [(*tokenizer(text, add_special_tokens=False)["input_ids"], tokenizer.eos_token_id) for text in task.texts]
    examples = [Tokens(prompt, row, len(row)) for row in rows]
    jobs = tuple(
        tuple(examples[(k * EXAMPLES + i) % len(examples)] for i in range(EXAMPLES)) for k in range(task.candidates)
    )
    adapted = sum(base.model.get_submodule(name).weight.numel() for name in target_names(base, SPEC))
    return Prepared(
        task,
        base,
        jobs,
        parameters=sum(weights.numel() for weights in base.model.parameters()),
        adapted=adapted,
        output=base.model.get_output_embeddings().weight.numel(),
    )


def tuning_flops(adapted: int, output: int, seen: int, predicted: int) -> int:
    """Floating-point operations that tuning LoRA adapters on a frozen model takes.

    A weight costs a token 2 of them forward, a product and a sum (Kaplan et al. 2020, arXiv 2001.08361, section 2.1), and
    2 backward, for the gradient of its input; the other 2 of full training, for the weight's own gradient, fall away as it is
    frozen. As in model FLOPs utilisation (Chowdhery et al. 2022, arXiv 2204.02311, appendix B), what a way computes beyond
    need does not count: activations computed again, padding, the output layer where nothing is predicted. Nor do attention's
    scores and the adapters' own products: a few per cent on a small model.

    Args:
        adapted: weights of the linear modules that adapters sit on.
        output: weights of the output layer.
        seen: tokens that go through the model, all epochs: in a packed row a prompt once, else with every example.
        predicted: tokens that are learnt, all epochs.
    """
    return 4 * (adapted * seen + output * predicted)


def apart(work: Callable[..., T], *arguments: Any) -> T:
    """Do it in a process of its own, whose memory is its own."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(work, *arguments).result()


@contextmanager
def loadable(model: str) -> Iterator[str]:
    """What `load_base` takes for a model: its name, or for `RANDOM` a folder that is there on_idle."""
    if model != RANDOM:
        yield model
        return
    with TemporaryDirectory(prefix=f"{RANDOM}-") as folder:
        # apart, as Linux counts what a process held when it started another into the other's peak
        apart(write_llama, Path(folder), PACKAGED, _SIZES)
        yield folder


def write_llama(folder: Path, like: str, sizes: Mapping[str, int]) -> None:
    """Write a Llama with random weights in bfloat16, always the same, its output layer tied to its embeddings.

    Args:
        folder: where to.
        like: the model whose tokenizer it has.
        sizes: of `transformers.LlamaConfig`.

    Raises:
        InputError: the extra `llm` or the other model is not there.
    """
    tokenizer = load_base(like, "cpu").tokenizer
    import torch
    import transformers

    end = tokenizer.eos_token_id
    config = transformers.LlamaConfig(
        vocab_size=len(tokenizer),
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=end,
        pad_token_id=end,
        tie_word_embeddings=True,
        **sizes,
    )
    torch.manual_seed(0)
    transformers.AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _memory(device: Any) -> int:
    if device.type == "cuda":
        import torch

        return int(torch.cuda.max_memory_allocated())
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _hardware(device: Any) -> str:
    if device.type == "cuda":
        import torch

        return str(torch.cuda.get_device_name())
    information = Path("/proc/cpuinfo")
    lines = information.read_text(encoding="utf-8").splitlines() if information.exists() else []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or platform.machine())
