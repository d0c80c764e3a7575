"""LoraLearner: one language model, its adapters, and Φ; what a trainer hosts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache
from math import nan
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crowd_sim.crowd.texts import Example, TextCrowd, Turn
from crowd_sim.crowd.verifiers import verifier_of
from crowd_sim.errors import InputError
from crowd_sim.models.adapters import Adapter, AdapterStack
from crowd_sim.models.architecture_check import check_architecture, window
from crowd_sim.models.distilled import refuse_fitted
from crowd_sim.models.engines import engine_of
from crowd_sim.models.generation import GenerateJob, Sampling
from crowd_sim.models.in_run_shapley import first_order
from crowd_sim.models.jobs import ChoiceJob, LearnerInfo, LearnerSpec, OutputJob, Outputs, TuneJob
from crowd_sim.models.language_model import Base, base_folder, load_base, require_llm
from crowd_sim.models.likelihoods import responses_of
from crowd_sim.models.memory import take_events
from crowd_sim.models.model_hub import digest
from crowd_sim.models.objectives import DRAWING, OBJECTIVES, kept_near, worth
from crowd_sim.models.packing import Tokens
from crowd_sim.models.phi import Phi, load_phi, phi_folders
from crowd_sim.models.prompts import plain_ids, prompt_ids
from crowd_sim.models.recomputing import recompute
from crowd_sim.models.start_adapter import adapter_folder, adapter_for
from crowd_sim.models.training import Key, PackedTuneJob, Training, TunedAdapter
from crowd_sim.models.tuning import tune
from crowd_sim.random import Purpose


@lru_cache(maxsize=1)
def shared_learner(spec: LearnerSpec) -> LoraLearner:
    """The learner of this process: loading one costs seconds and the model's memory."""
    return LoraLearner(spec)


def weights_of(spec: LearnerSpec) -> str:
    """`LearnerInfo.weights` of a learner that is not loaded.

    Raises:
        InputError: a model, or an adapter, that is not here.
    """
    phi = () if spec.phi_kind == "none" else phi_folders(spec.phi_kind, spec.phi_model)
    return digest([base_folder(spec.model), *phi, *_adapter_folders(spec)])


def _adapter_folders(spec: LearnerSpec) -> tuple[Path, ...]:
    return () if spec.adapter is None else (adapter_folder(spec.adapter),)


def passes_here() -> int:
    """Passes of this process's models so far; it loads none."""
    return _passes[0]


_passes = [0]


class LoraLearner:
    """Tunes and judges candidates. Calls leave nothing behind: each is a function of its arguments alone.

    Attributes:
        base: the model.
        stack: its adapters.

    Raises:
        InputError: the model, Φ or the packages they need are not there; a model of an architecture that cannot be tuned here,
            or that looks at fewer than `max_tokens`; an engine that cannot start here; an adapter that is of another model or
            shape.
    """

    def __init__(self, spec: LearnerSpec) -> None:
        self._spec = spec
        self.base: Base = load_base(spec.model, spec.device, spec.dtype, spec.threads, spec.quantization)
        if spec.max_tokens > self.base.context:
            raise InputError("task.max_tokens", spec.max_tokens, f"must be at most the context, {self.base.context}")
        seen = window(self.base)
        if seen is not None and spec.max_tokens > seen:
            allowed = f"must be at most the window of the model's sliding attention, {seen}"
            raise InputError("task.max_tokens", spec.max_tokens, allowed)
        self.stack = AdapterStack(self.base, spec.lora)
        if spec.recomputes:
            recompute(self.base)
        self._first = None if spec.adapter is None else adapter_for(self.stack, spec.model, spec.adapter)
        self._engine = engine_of(spec.engine, self.base, self.stack)
        check_architecture(self.base, self.stack)
        self.base.model.register_forward_hook(self._passed)
        self._maps: Phi | None = None
        if spec.phi_kind != "none":
            try:
                self._maps = load_phi(spec.phi_kind, spec.phi_model, self.base.device.type)
            except InputError as error:
                raise _of_phi(error) from None

    def facts(
        self,
        contributions: TextCrowd,
        prompts: Sequence[str | Example],
        validation: Sequence[Example],
        max_new_tokens: int,
    ) -> LearnerInfo:
        """Check all examples and the prompts that outputs will be drawn for, and say what there is to say.

        Args:
            contributions: of the workers that take part.
            prompts: that outputs will be drawn for; of an example that of it.
            validation: the target's texts as responses, in their order; empty where nothing is validated.
            max_new_tokens: of an output, at most.

        Raises:
            InputError: an example or a target's text of too many tokens, where such are refused, or an example whose prompt
                alone has too many; a prompt that leaves no room in the context for `max_new_tokens`, or of no tokens; a Φ
                fitted to texts it would judge.
        """
        n_cut = sum(
            self._is_cut(example, f" of worker {worker}")
            for worker, own in zip(contributions.ids, contributions.examples, strict=True)
            for example in own
        )
        cut_targets = self._cut_by_phi(contributions.target_texts) if self._maps else set()
        cut_targets |= {row for row, example in enumerate(validation) if self._is_cut(example, " of the validation")}
        room = self.base.context - max_new_tokens
        for prompt in prompts:
            said, own = (prompt, ()) if isinstance(prompt, str) else (prompt.prompt, prompt.before)
            if (n := len(self._prompt(said, own))) > room:
                allowed = (
                    f"has {n} tokens; at most {max(room, 0)}, the model's context less task.generation.max_new_tokens"
                )
                raise InputError("prompt", said, allowed)
        try:
            responses = [example.response for example in contributions.in_turn()]
            if self._maps:
                refuse_fitted(self._maps, [*responses, *contributions.target_texts])
        except InputError as error:
            raise _of_phi(error) from None
        weights = self.stack.initial(0, 0)
        return LearnerInfo(
            dtype=str(self.base.dtype).removeprefix("torch."),
            device=str(self.base.device.type),
            phi=self._maps.name if self._maps else "none",
            n_dimensions=self._maps.n_dimensions if self._maps else 0,
            n_cut=n_cut,
            n_cut_targets=len(cut_targets),
            n_parameters=sum(part.size for part in weights.values()),
            weights=digest(
                [self.base.folder, *(self._maps.folders if self._maps else ()), *_adapter_folders(self._spec)]
            ),
        )

    def count(self, groups: Sequence[Sequence[Example]]) -> list[int]:
        """Response tokens of each group's examples, those that one epoch trains."""
        return [sum(self.tokens(example)[0].n_trained for example in group) for group in groups]

    def initial(self, seed: int, run: int) -> Adapter:
        """The adapter that a run starts from: that of the configuration, or one that changes nothing yet."""
        return self.stack.initial(seed, run) if self._first is None else self._first

    def tune(self, jobs: Sequence[TuneJob]) -> list[TunedAdapter]:
        """Tune candidates, several at once, each in its own way.

        Where passes of `sft` come first, the objective goes on from there, with a new optimiser and what is left of the tokens;
        its reference is the model after them.
        """
        self._threads()
        warm = [self._warmed(job) for job in jobs]
        first = iter(self._tuned([job for job in warm if job is not None]))
        before = [None if job is None else next(first) for job in warm]
        rest = [job if own is None else _after(job, own) for job, own in zip(jobs, before, strict=True)]
        return [_joined(own, tuned) for own, tuned in zip(before, self._tuned(rest), strict=True)]

    def _warmed(self, job: TuneJob) -> TuneJob | None:
        """The passes of `sft` over what is not bad before a job's objective; None of one without."""
        training = job.training
        examples = tuple(example for example in job.examples if example.good is not False)
        if not training.sft_epochs or (job.examples and not examples):
            return None
        tokens = job.n_tokens
        if tokens is not None:
            (once,) = self.count([examples])
            tokens = min(tokens, training.sft_epochs * once)
        alone = replace(training, objective="sft", epochs=training.sft_epochs, sft_epochs=0)
        return replace(job, examples=examples, training=alone, n_tokens=tokens, kept=job.kept and job.kept.of("sft"))

    def _tuned(self, jobs: Sequence[TuneJob]) -> list[TunedAdapter]:
        own = [self._packed(job) for job in jobs]
        return tune(self.base, self.stack, own, [job.training for job in jobs]) if jobs else []

    def _packed(self, job: TuneJob) -> PackedTuneJob:
        examples = tuple(self.tokens(example)[0] for example in job.examples)
        objective, options = job.training.objective, job.training.options
        packed = PackedTuneJob(job.start, examples, job.key, job.n_tokens, objective, options, kept=job.kept)
        if objective in DRAWING:
            return replace(packed, draw=self._drawer(job))
        if objective == "spin":
            well = _is_finite(job.start)  # else training ends where it began
            every = np.arange(len(examples))
            rivals = self._own_outputs(job, job.start, every, 0, 1)[1] if well and examples else examples
            return replace(packed, rivals=tuple(rivals))
        if objective == "kto" or OBJECTIVES[objective][1] == 2:
            rivals = tuple(self.tokens(replace(e, response=e.rival))[0] for e in job.examples if e.rival is not None)
            if objective == "kto":
                gains = (*(float(e.good is not False) for e in job.examples), *(0.0,) * len(rivals))
                return replace(packed, examples=examples + rivals, gains=gains)
            return replace(packed, rivals=rivals)
        return packed

    def _drawer(self, job: TuneJob) -> Callable[[Adapter, NDArray[np.int64], int], tuple[list[Tokens], NDArray[Any]]]:
        drawing = job.training.drawing
        assert drawing is not None  # noqa: S101 - a configuration with such an objective says how
        reward, verify = drawing.reward, verifier_of(drawing.rule)
        penalty, rows = job.training.options.kl * (job.training.objective == "rloo"), job.training.row_tokens

        def draw(adapter: Adapter, order: NDArray[np.int64], step: int) -> tuple[list[Tokens], NDArray[np.float64]]:
            texts, outputs = self._own_outputs(job, adapter, order, step, drawing.n_outputs)
            asked = [job.examples[i] for i in order for _ in range(drawing.n_outputs)]
            if reward is not None:
                earned = reward(self.embed(texts))
            else:
                earned = np.array([verify(e.prompt, text, e.response) for e, text in zip(asked, texts, strict=True)])
            if penalty:
                both = (responses_of(self.base, self.stack, own, outputs, rows) for own in (adapter, job.start))
                now, before = both
                earned = kept_near(earned, now, before, penalty)
            return outputs, worth(job.training.objective, earned.reshape(len(order), -1)).ravel()

        return draw

    def _own_outputs(
        self, job: TuneJob, adapter: Adapter, order: NDArray[np.int64], step: int, n: int
    ) -> tuple[Sequence[str], list[Tokens]]:
        """So many outputs of an adapter's to the prompt of each of these examples."""
        drawing = job.training.drawing
        assert drawing is not None  # noqa: S101 - a configuration with such an objective says how
        own = [job.examples[i] for i in order]
        prompts = tuple(self._prompt(e.prompt, e.before) for e in own for _ in range(n))
        key = replace(job.key, round=job.key.round + ((step + 1) << 32))
        drawn = GenerateJob(adapter, prompts, key, Purpose.TRAINING_OUTPUTS)
        (made,) = self._engine.generate([drawn], Sampling(drawing.max_new_tokens, drawing.temperature))
        return made.texts, [Tokens(p, ids, len(ids)) for p, ids in zip(prompts, made.ids, strict=True)]

    def choose(self, jobs: Sequence[ChoiceJob]) -> list[NDArray[np.float64]]:
        """Summed log-probabilities of each item's choices: float64[m, c] per job, NaN where tuning diverged."""
        self._threads()
        found = []
        for job in jobs:
            tokens = [
                self.tokens(Example(item.prompt, choice, item.before))[0]
                for item in job.items
                for choice in item.choices
            ]
            well = _is_finite(job.adapter)
            values = responses_of(self.base, self.stack, job.adapter, tokens) if well else np.full(len(tokens), nan)
            found.append(values.reshape(len(job.items), -1))
        return found

    def judge_all(self, calls: Sequence[Sequence[OutputJob]]) -> list[list[Outputs]]:
        """Several calls of `judge`. On a CPU each by itself, so that its last bits do not depend on the others."""
        if self.base.one_by_one or len({job.sampling for jobs in calls for job in jobs}) > 1:
            return [self.judge(jobs) for jobs in calls]
        judged = iter(self.judge([job for jobs in calls for job in jobs]))
        return [[next(judged) for _ in jobs] for jobs in calls]

    def judge(self, jobs: Sequence[OutputJob]) -> list[Outputs]:
        """Draw candidates' outputs and map them by Φ; those of a candidate whose tuning diverged are empty, and no place.

        All jobs draw in the same way.
        """
        self._threads()
        well = [k for k, job in enumerate(jobs) if _is_finite(job.adapter)]
        own = [GenerateJob(jobs[k].adapter, self._prompts(jobs[k]), jobs[k].key, jobs[k].purpose) for k in well]
        drawn = self._engine.generate(own, jobs[0].sampling) if own else []
        made = dict(zip(well, drawn, strict=True))
        return [
            Outputs(made[k].texts, self._vectors(made[k].texts), made[k].n_tokens, self._loss(job))
            if k in made
            else self._nowhere(job)
            for k, job in enumerate(jobs)
        ]

    @property
    def passes(self) -> int:
        """Passes of the model so far, a sign of life in calls that take long."""
        return passes_here()

    def take_events(self) -> list[tuple[str, dict[str, Any]]]:
        """What a run's log should tell of this process's models since the last call: names, and details."""
        return [("out of memory", details) for details in take_events()]

    def _passed(self, *_: object) -> None:
        _passes[0] += 1

    def _loss(self, job: OutputJob) -> float:
        held = [self.tokens(example)[0] for example in job.held]
        if not held:
            return nan
        return -float(responses_of(self.base, self.stack, job.adapter, held).sum()) / sum(e.n_trained for e in held)

    def _nowhere(self, job: OutputJob) -> Outputs:
        n_outputs = len(job.prompts)
        d = self._maps.n_dimensions if self._maps else 0
        return Outputs(("",) * n_outputs, np.full((n_outputs, d), np.nan), 0)

    def _vectors(self, texts: Sequence[str]) -> NDArray[np.float64]:
        return self.embed(texts) if self._maps else np.zeros((len(texts), 0))

    def _prompts(self, job: OutputJob) -> tuple[tuple[int, ...], ...]:
        before = job.before or ((),) * len(job.prompts)
        return tuple(self._prompt(prompt, own) for prompt, own in zip(job.prompts, before, strict=True))

    def first_order(
        self,
        start: Adapter,
        workers: Sequence[Sequence[Example]],
        validation: Sequence[Example],
        key: Key,
        training: Training,
    ) -> NDArray[np.float64]:
        """First-order values of the workers: float64[n], see `crowd_sim.models.in_run_shapley`."""
        self._threads()
        own = [[self.tokens(example)[0] for example in examples] for examples in workers]
        held = [self.tokens(example)[0] for example in validation]
        return first_order(self.base, self.stack, start, own, held, key, training)

    def embed(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Φ of texts: float64[m, d]."""
        self._threads()
        return self._phi(texts)

    @property
    def _phi(self) -> Phi:
        assert self._maps is not None  # noqa: S101 - asked for by those who named one
        return self._maps

    def _threads(self) -> None:
        # whoever hosts this may have changed it since
        torch, _ = require_llm("task.model")
        torch.set_num_threads(self._spec.threads)

    def tokens(self, example: Example) -> tuple[Tokens, bool]:
        """An example in tokens, and whether its response was cut to `max_tokens`."""
        prompt = self._prompt(example.prompt, example.before)
        response = (*plain_ids(self.base.tokenizer, example.response), self.base.tokenizer.eos_token_id)
        room = self._spec.max_tokens - len(prompt)
        total = len(prompt) + len(response)
        if room < 1:
            allowed = f"has {len(prompt)} tokens: no room for a response in task.max_tokens, {self._spec.max_tokens}"
            raise InputError("prompt of the example", _shown(example.prompt), allowed)
        if total > self._spec.max_tokens and not self._spec.cut:
            allowed = f"has {total} tokens with its prompt; at most task.max_tokens, {self._spec.max_tokens}"
            raise InputError("example", _shown(example.response), f"{allowed}; task.long_texts=cut cuts responses")
        response = response[:room]
        return Tokens(prompt, response, len(response)), total > self._spec.max_tokens

    def _is_cut(self, example: Example, whose: str) -> bool:
        """Whether an example's response is cut; errors say whose it is."""
        try:
            return self.tokens(example)[1]
        except InputError as error:
            field = error.field + whose if error.field.endswith("example") else error.field
            raise InputError(field, error.value, error.allowed) from None

    def _cut_by_phi(self, texts: Sequence[str]) -> set[int]:
        """Rows of the texts that Φ reads the beginning of."""
        batcher = self._phi.batcher
        lengths = batcher.lengths(texts)
        rows = {row for row, length in enumerate(lengths) if length > batcher.max_length}
        if rows and not self._spec.cut:
            first = min(rows)
            allowed = (
                f"has {lengths[first]} tokens; at most {batcher.max_length}, which Φ reads; task.long_texts=cut cuts it"
            )
            raise InputError("target text", _shown(texts[first]), allowed)
        return rows

    def _prompt(self, prompt: str, before: Sequence[Turn] = ()) -> tuple[int, ...]:
        return prompt_ids(self.base.tokenizer, self._spec.prompt_template, prompt, before)


def _shown(text: str) -> str:
    return text if len(text) <= 60 else text[:57] + "…"


def _is_finite(adapter: Adapter) -> bool:
    return all(np.isfinite(weights).all() for weights in adapter.values())


def _after(job: TuneJob, warmed: TunedAdapter) -> TuneJob:
    """What is left of a job after its passes of `sft`."""
    left = None if job.n_tokens is None else job.n_tokens - warmed.n_tokens
    return replace(job, start=warmed.adapter, n_tokens=left)


def _joined(before: TunedAdapter | None, tuned: TunedAdapter) -> TunedAdapter:
    if before is None:
        return tuned
    losses = np.concatenate([before.losses, tuned.losses])
    return TunedAdapter(tuned.adapter, losses, before.n_tokens + tuned.n_tokens)


def _of_phi(error: InputError) -> InputError:
    """Φ is configured in a group of the section `task`."""
    field = f"task.{error.field}" if error.field.startswith("phi.") else error.field
    return InputError(field, error.value, error.allowed)
