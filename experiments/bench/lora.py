"""One round of LoRA candidates: crowd-sim against the plain ways, one candidate after another.

`python -m experiments.bench.lora` tunes K candidates on 33 comments each for three epochs and draws 50 outputs of up to 32
tokens from each, all ways on the same cores, and prints seconds, tokens per second and peak memory. Texts: the paper's
neighbourhoods (environment's CROWD_SIM_DATA). The plain ways: batches of eight, each example with its prompt, padded; then
`generate` with sampling. `peft` is a lean loop around peft; `trl` (`pip install trl`) is TRL's SFTTrainer with its own
defaults, which recompute activations (gradient checkpointing), in the same number format as the others and its setting up
not counted. `--device cuda --candidates 3 8 16` does the same on a GPU.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.table import Table

from crowd_sim.crowd.goemotions import read_neighbours
from crowd_sim.learners.adapters import AdapterStack, LoraSpec
from crowd_sim.learners.base import Base, load_base
from crowd_sim.learners.generation import GenerateJob, Sampling, generate
from crowd_sim.learners.packing import Tokens
from crowd_sim.learners.tuning import Key, Training, TuneJob, batches, tune
from crowd_sim.random import Purpose

TEMPLATE = "<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n"
EXAMPLES, OUTPUTS = 33, 50
SPEC, TRAINING, SAMPLING = LoraSpec(), Training(epochs=3, batch_size=8), Sampling(32, 0.7)


@dataclass(frozen=True)
class Task:
    """What both ways do: the model, where, and how many candidates."""

    model: str
    device: str
    dtype: str
    threads: int
    candidates: int


@dataclass(frozen=True)
class Measured:
    """Seconds of tuning and generating, tokens of each, and the most memory ever held, in bytes."""

    tuning: float
    generating: float
    trained: int
    generated: int
    memory: int


Tuned = tuple[Any, float]
"""A peft model, tuned, and the seconds that took."""


def ours(task: Task) -> Measured:
    """All candidates together."""
    base, jobs = _prepared(task)
    stack = AdapterStack(base, SPEC)
    start = stack.initial(0, 0)
    began = time.perf_counter()
    tuned = tune(base, stack, [TuneJob(start, examples, Key(0, 0, 1, k)) for k, examples in enumerate(jobs)], TRAINING)
    _wait(base.device)
    between = time.perf_counter()
    prompts = (jobs[0][0].prompt,) * OUTPUTS
    wanted = [GenerateJob(t.adapter, prompts, Key(0, 0, 1, k), Purpose.SELECTION_OUTPUTS) for k, t in enumerate(tuned)]
    outputs = generate(base, stack, wanted, SAMPLING)
    _wait(base.device)
    trained, generated = sum(t.n_tokens for t in tuned), sum(o.n_tokens for o in outputs)
    return Measured(between - began, time.perf_counter() - between, trained, generated, _peak(task))


def plain(task: Task, tune_one: Callable[[Base, TuneJob], Tuned]) -> Measured:
    """One candidate after another."""
    import torch

    base, jobs = _prepared(task)
    tuning = generating = 0.0
    trained = generated = 0
    for k, examples in enumerate(jobs):
        model, seconds = tune_one(base, TuneJob({}, examples, Key(0, 0, 1, k)))
        tuning += seconds
        trained += TRAINING.epochs * sum(example.n_trained for example in examples)
        began = time.perf_counter()
        prompts = torch.tensor([examples[0].prompt] * OUTPUTS, device=base.device)
        with torch.no_grad():
            rows = model.generate(
                input_ids=prompts,
                attention_mask=torch.ones_like(prompts),
                max_new_tokens=SAMPLING.max_new_tokens,
                do_sample=True,
                temperature=SAMPLING.temperature,
                top_k=0,
                pad_token_id=base.tokenizer.eos_token_id,
            )
        _wait(base.device)
        generating += time.perf_counter() - began
        model.unload()
        new = rows[:, prompts.shape[1] :]
        # an output's tokens: up to its end, which is also what pads it
        ended = (new == base.tokenizer.eos_token_id).cumsum(dim=1) - (new == base.tokenizer.eos_token_id).int()
        generated += int((ended == 0).sum())
    return Measured(tuning, generating, trained, generated, _peak(task))


def by_peft(base: Base, job: TuneJob) -> Tuned:
    """A lean loop of one's own."""
    import torch

    model = _adapted(base)
    weights = [w for w in model.parameters() if w.requires_grad]
    optimiser = torch.optim.AdamW(weights, lr=TRAINING.learning_rate, weight_decay=0.0)
    began = time.perf_counter()
    for batch in batches(job, TRAINING):
        _padded_loss(model, batch).backward()
        torch.nn.utils.clip_grad_norm_(weights, TRAINING.max_grad_norm)
        optimiser.step()
        optimiser.zero_grad()
    _wait(base.device)
    return model, time.perf_counter() - began


def by_trl(base: Base, job: TuneJob) -> Tuned:
    """TRL's SFTTrainer."""
    import torch
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    rows = [
        {
            "input_ids": [*example.prompt, *example.response],
            "completion_mask": [0] * len(example.prompt) + [1] * example.n_trained,
        }
        for example in job.examples
    ]
    model = _adapted(base)
    with tempfile.TemporaryDirectory() as folder:
        settings = SFTConfig(
            output_dir=folder,
            num_train_epochs=TRAINING.epochs,
            per_device_train_batch_size=TRAINING.batch_size,
            learning_rate=TRAINING.learning_rate,
            max_grad_norm=TRAINING.max_grad_norm,
            bf16=base.dtype == torch.bfloat16,
            use_cpu=base.device.type == "cpu",
            save_strategy="no",
            logging_strategy="no",
            report_to="none",
            disable_tqdm=True,
        )
        trainer = SFTTrainer(model, settings, train_dataset=Dataset.from_list(rows), processing_class=base.tokenizer)
        began = time.perf_counter()
        trainer.train()
        _wait(base.device)
        seconds = time.perf_counter() - began
    model.gradient_checkpointing_disable()
    model.eval()
    return model, seconds


PLAIN = {"peft": by_peft, "trl": by_trl}


def _adapted(base: Base) -> Any:
    import peft

    config = peft.LoraConfig(
        r=SPEC.rank, lora_alpha=int(SPEC.alpha), target_modules="all-linear", task_type="CAUSAL_LM"
    )
    return peft.get_peft_model(base.model, config)


def _padded_loss(model: Any, batch: list[Tokens]) -> Any:
    import torch

    device = model.device
    width = max(len(e.prompt) + e.n_trained for e in batch)
    ids = torch.zeros((len(batch), width), dtype=torch.int64)
    mask, labels = torch.zeros_like(ids), torch.full_like(ids, -100)
    for row, example in enumerate(batch):
        tokens = torch.tensor([*example.prompt, *example.response])
        ids[row, : len(tokens)] = tokens
        mask[row, : len(tokens)] = 1
        labels[row, len(example.prompt) : len(tokens)] = tokens[len(example.prompt) :]
    return model(input_ids=ids.to(device), attention_mask=mask.to(device), labels=labels.to(device)).loss


def _prepared(task: Task) -> tuple[Base, list[tuple[Tokens, ...]]]:
    base = load_base(task.model, task.device, task.dtype, task.threads)  # type: ignore[arg-type]
    tokenizer = base.tokenizer
    prompt = tuple(tokenizer(TEMPLATE.format("write a reddit comment."), add_special_tokens=False)["input_ids"])
    texts = [e.response for e in read_neighbours(None, "admiration", 1).in_turn()]
    rows = [(*tokenizer(text, add_special_tokens=False)["input_ids"], tokenizer.eos_token_id) for text in texts]
    examples = [Tokens(prompt, row, len(row)) for row in rows]
    jobs = [
        tuple(examples[(k * EXAMPLES + i) % len(examples)] for i in range(EXAMPLES)) for k in range(task.candidates)
    ]
    return base, jobs


def _wait(device: Any) -> None:
    if device.type == "cuda":
        import torch

        torch.cuda.synchronize()


def _peak(task: Task) -> int:
    if task.device == "cuda":
        import torch

        return int(torch.cuda.max_memory_allocated())
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def apart(way: Callable[..., Measured], *arguments: Any) -> Measured:
    """Measure in a process of its own, whose memory is its own."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(way, arguments)


def main() -> None:
    """Print all ways side by side."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--dtype", choices=["auto", "float32", "bfloat16"], default="auto")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--candidates", type=int, nargs="+", default=[3])
    parser.add_argument("--plain", choices=list(PLAIN), nargs="+", default=["peft"])
    arguments = parser.parse_args()
    console = Console(width=128)
    for candidates in arguments.candidates:
        task = Task(arguments.model, arguments.device, arguments.dtype, arguments.threads, candidates)
        results = {f"plain {name}": apart(plain, task, PLAIN[name]) for name in arguments.plain}
        results["crowd-sim"] = apart(ours, task)
        table = Table(
            title=f"{candidates} candidates × {EXAMPLES} examples × {TRAINING.epochs} epochs, {OUTPUTS} outputs each"
        )
        for column in ("", "tuning s", "tokens/s", "generating s", "tokens/s", "total s", "peak GiB"):
            table.add_column(column, justify="right")
        for name, m in results.items():
            table.add_row(
                name,
                f"{m.tuning:.1f}",
                f"{m.trained / m.tuning:.0f}",
                f"{m.generating:.1f}",
                f"{m.generated / m.generating:.0f}",
                f"{_seconds(m):.1f}",
                f"{m.memory / 2**30:.2f}",
            )
        console.print(table)
        *others, mine = results.items()
        for name, measured in others:
            console.print(
                f"{candidates} candidates: {_seconds(measured) / _seconds(mine[1]):.2f} times faster than {name}"
            )


def _seconds(measured: Measured) -> float:
    return measured.tuning + measured.generating


if __name__ == "__main__":
    main()
