"""The plain ways of tuning LoRA candidates, one after another: a lean loop around peft, and TRL's SFTTrainer."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from typing import Any

from crowd_sim.models.packing import Tokens
from crowd_sim.models.steps import batches
from crowd_sim.models.training import Key, PackedTuneJob
from experiments.bench.lora_task import OUTPUTS, SAMPLING, SPEC, TRAINING, Measured, Prepared, Task, prepare

TunedAdapter = tuple[Any, float]
"""A peft model, tuned, and the seconds that took."""


def plain(task: Task, tune_one: Callable[[Prepared, PackedTuneJob], TunedAdapter]) -> Measured:
    """One candidate after another."""
    prepared = prepare(task)
    _one(prepared, PackedTuneJob({}, prepared.few, Key(0, 0, 0, 0)), tune_one, 1)
    tuning = generating = 0.0
    seen = trained = generated = 0
    for k, examples in enumerate(prepared.jobs):
        job = PackedTuneJob({}, examples, Key(0, 0, 1, k))
        tuning_one, generating_one, generated_one = _one(prepared, job, tune_one, OUTPUTS)
        tuning += tuning_one
        generating += generating_one
        generated += generated_one
        trained += TRAINING.epochs * sum(example.n_trained for example in examples)
        seen += TRAINING.epochs * sum(len(example.prompt) + example.n_trained for example in examples)
    return prepared.measured(tuning, generating, seen, trained, generated)


def by_peft(prepared: Prepared, job: PackedTuneJob) -> TunedAdapter:
    """A lean hand-written loop."""
    import torch

    model = _adapted(prepared.base.model)
    weights = [w for w in model.parameters() if w.requires_grad]
    optimiser = torch.optim.AdamW(weights, lr=TRAINING.learning_rate, weight_decay=0.0)
    began = prepared.clock()
    for batch in batches(job, TRAINING):
        _padded_loss(model, batch).backward()
        torch.nn.utils.clip_grad_norm_(weights, TRAINING.max_grad_norm)
        optimiser.step()
        optimiser.zero_grad()
    return model, prepared.clock() - began


def by_trl(prepared: Prepared, job: PackedTuneJob) -> TunedAdapter:
    """TRL's SFTTrainer."""
    import torch
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    base = prepared.base
    rows = [
        {
            "input_ids": [*example.prompt, *example.response],
            "completion_mask": [0] * len(example.prompt) + [1] * example.n_trained,
        }
        for example in job.examples
    ]
    model = _adapted(base.model)
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
        began = prepared.clock()
        trainer.train()
        seconds = prepared.clock() - began
    model.gradient_checkpointing_disable()
    model.eval()
    return model, seconds


PLAIN = {"peft": by_peft, "trl": by_trl}


def _one(
    prepared: Prepared, job: PackedTuneJob, tune_one: Callable[[Prepared, PackedTuneJob], TunedAdapter], n_outputs: int
) -> tuple[float, float, int]:
    """Seconds of tuning and of generating, and the outputs' tokens."""
    import torch

    model, tuning = tune_one(prepared, job)
    end = prepared.base.tokenizer.eos_token_id
    began = prepared.clock()
    prompts = torch.tensor([job.examples[0].prompt] * n_outputs, device=model.device)
    with torch.no_grad():
        rows = model.generate(
            input_ids=prompts,
            attention_mask=torch.ones_like(prompts),
            max_new_tokens=SAMPLING.max_new_tokens,
            do_sample=True,
            temperature=SAMPLING.temperature,
            top_k=0,
            pad_token_id=end,
        )
    generating = prepared.clock() - began
    model.unload()
    new = rows[:, prompts.shape[1] :]
    # an output's tokens: up to its end, which is also what pads it
    ended = (new == end).cumsum(dim=1) - (new == end).int()
    return tuning, generating, int((ended == 0).sum())


def _adapted(model: Any) -> Any:
    import peft

    config = peft.LoraConfig(
        r=SPEC.rank, lora_alpha=int(SPEC.alpha), target_modules="all-linear", task_type="CAUSAL_LM"
    )
    return peft.get_peft_model(model, config)


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
