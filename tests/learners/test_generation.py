"""Outputs of several candidates in one batch, against plain generation with one adapter loaded by peft."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import chisquare

pytest.importorskip("torch", reason="needs the extra llm")
pytest.importorskip("peft", reason="needs the extra llm")

from crowd_sim.config.task import COLDEST
from crowd_sim.models.adapters import AdapterStack, LoraSpec, save_adapter
from crowd_sim.models.generation import GenerateJob, Sampling, _sample, generate
from crowd_sim.models.language_model import load_base
from crowd_sim.models.training import Key
from crowd_sim.random import Purpose
from tests.learners.busy import busy_adapter
from tests.learners.tiny_llm import make_tiny_llm, tiny_tokens

SPEC = LoraSpec(rank=3, alpha=6.0)
TEXTS = ("hello", "a much longer prompt than the others", "b", "hello", "why?", "hello")
GREEDY = Sampling(max_new_tokens=12, temperature=0)
WHAT = Purpose.SELECTION_OUTPUTS


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    folder = make_tiny_llm(tmp_path_factory.mktemp("tiny"))
    base = load_base(str(folder), "cpu", "float32")
    # greedy outputs of a random model never end by themselves: here a frequent token ends them
    base.model.generation_config.eos_token_id = [0, *frequent(base, folder)]
    return folder, base, AdapterStack(base, SPEC)


def frequent(base, folder) -> list[int]:
    with_none = [plain_tokens(base.model, tiny_tokens(base, text), 12, [0]) for text in TEXTS]
    return [int(np.bincount(np.concatenate(with_none)).argmax())]


def plain_tokens(model, prompt, n: int, ends: list[int]) -> list[int]:
    import torch

    ids = torch.tensor([prompt])
    out = model.generate(
        input_ids=ids,
        attention_mask=torch.ones_like(ids),
        do_sample=False,
        max_new_tokens=n,
        eos_token_id=ends,
        pad_token_id=0,
    )
    return out[0, len(prompt) :].tolist()


def job(base, adapter, texts=TEXTS, key=None, purpose=WHAT) -> GenerateJob:
    key = key or Key(1, 0, 1, 0)
    return GenerateJob(adapter, tuple(tiny_tokens(base, text) for text in texts), key, purpose)


@pytest.mark.parametrize("together", [False, True])
def test_greedy_outputs_are_those_of_plain_peft(tiny, tmp_path, together):
    import peft
    import transformers

    folder, base, stack = tiny
    adapters = [busy_adapter(stack, k, 0.3) for k in range(3)]
    sizes = (6, 2, 5)  # candidates with unequal numbers of prompts
    jobs = [job(base, adapter, TEXTS[:n]) for adapter, n in zip(adapters, sizes, strict=True)]
    ends = base.model.generation_config.eos_token_id
    found = generate(replace(base, one_by_one=not together), stack, jobs, GREEDY)
    lengths = []
    for k, (adapter, own) in enumerate(zip(adapters, jobs, strict=True)):
        save_adapter(tmp_path / str(k), adapter, SPEC, str(folder))
        model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype="float32")
        model = peft.PeftModel.from_pretrained(model, tmp_path / str(k)).eval()
        tokens = [plain_tokens(model, prompt, 12, ends) for prompt in own.prompts]
        texts = [base.tokenizer.decode([t for t in row if t not in ends], skip_special_tokens=True) for row in tokens]
        assert list(found[k].texts) == texts
        assert found[k].n_tokens == sum(map(len, tokens))
        lengths += [len(row) for row in tokens]
    assert min(lengths) < max(lengths)  # some have ended before others
    assert len({text for outputs in found for text in outputs.texts}) > 3


def test_draws_are_keyed(tiny):
    _, base, stack = tiny
    adapter = busy_adapter(stack, 0)
    sampling = Sampling(max_new_tokens=8, temperature=1.0)

    def texts(key, purpose=WHAT):
        (outputs,) = generate(base, stack, [job(base, adapter, key=key, purpose=purpose)], sampling)
        return outputs.texts

    first = texts(Key(1, 0, 1, 0))
    assert texts(Key(1, 0, 1, 0)) == first
    others = [texts(key) for key in (Key(2, 0, 1, 0), Key(1, 1, 1, 0), Key(1, 0, 2, 0), Key(1, 0, 1, 1))]
    others.append(texts(Key(1, 0, 1, 0), Purpose.REPORT_OUTPUTS))
    assert len({first, *others}) == 6
    assert first[0] != first[3]  # the same prompt twice is drawn twice


@pytest.mark.parametrize("together", [False, True])
def test_company_changes_no_candidate(tiny, together):
    _, base, stack = tiny
    base = replace(base, one_by_one=not together)
    sampling = Sampling(max_new_tokens=10, temperature=0.8)
    jobs = [job(base, busy_adapter(stack, k), TEXTS[: 6 - k], Key(1, 0, 1, k)) for k in range(3)]
    alone = [generate(base, stack, [own], sampling)[0] for own in jobs]
    assert generate(base, stack, jobs, sampling) == alone
    assert generate(base, stack, jobs[::-1], sampling) == alone[::-1]


def test_rows_that_end_early_change_no_other(tiny):
    _, base, stack = tiny
    adapter = busy_adapter(stack, 0)
    ends = base.model.generation_config.eos_token_id
    sampling = Sampling(max_new_tokens=10, temperature=1.0)
    (some,) = generate(base, stack, [job(base, adapter, TEXTS * 4)], sampling)
    base.model.generation_config.eos_token_id = [0]
    try:
        (none,) = generate(base, stack, [job(base, adapter, TEXTS * 4)], sampling)
    finally:
        base.model.generation_config.eos_token_id = ends
    assert some.n_tokens < none.n_tokens
    differ = [(own, whole) for own, whole in zip(some.texts, none.texts, strict=True) if own != whole]
    assert 0 < len(differ) < len(some.texts)
    # where an output has ended it is the beginning of the one that went on
    assert all(whole.startswith(own) for own, whole in differ)


@pytest.mark.parametrize("n", [1, 2, 7])
def test_no_output_is_longer_than_it_may_be(tiny, n):
    _, base, stack = tiny
    ends = base.model.generation_config.eos_token_id
    base.model.generation_config.eos_token_id = [0]
    try:
        (outputs,) = generate(base, stack, [job(base, busy_adapter(stack, 1))], Sampling(n, 0))
    finally:
        base.model.generation_config.eos_token_id = ends
    assert 0 < outputs.n_tokens <= n * len(TEXTS)


@pytest.mark.parametrize("temperature", [0.2, 0.5, 1.0])
def test_first_tokens_are_distributed_as_the_model_says(tiny, temperature):
    import torch

    _, base, stack = tiny
    adapter = busy_adapter(stack, 2)
    prompt = tiny_tokens(base, "hello")
    stack.put([adapter], trainable=False)
    with torch.no_grad():
        logits = base.model(input_ids=torch.tensor([prompt])).logits[0, -1].double()
    expected = torch.softmax(logits / temperature, dim=-1).numpy()
    n = 4000
    draws = GenerateJob(adapter, (prompt,) * n, Key(3, 0, 1, 0), WHAT)
    seen = first_tokens(base, stack, draws, temperature)
    counts = np.bincount(seen, minlength=len(expected))
    likely = expected * n >= 8
    pooled = [np.append(values[likely], values[~likely].sum()) for values in (counts, expected * n)]
    assert likely.sum() >= 5
    assert chisquare(*pooled).pvalue > 0.001
    # and at another temperature they are not
    wrong = torch.softmax(logits / (temperature * 2), dim=-1).numpy() * n
    assert chisquare(pooled[0], np.append(wrong[likely], wrong[~likely].sum())).pvalue < 1e-6


def first_tokens(base, stack, own: GenerateJob, temperature: float) -> np.ndarray:
    import crowd_sim.models.generation as module

    seen = []

    def watched(logits, draws, heat):
        tokens = _sample(logits, draws, heat)
        seen.append(tokens.numpy().copy())
        return tokens

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_sample", watched)
        generate(base, stack, [own], Sampling(1, temperature))
    return seen[0]


def test_the_lowest_temperature_takes_the_likeliest_token():
    import torch

    logits = torch.tensor([[-300.0, 299.0, 300.0, 0.0]]).repeat(3, 1)
    draws = np.array([0.0, 0.5, 1 - 1e-16])
    assert _sample(logits, draws, COLDEST).tolist() == _sample(logits, draws, 0).tolist() == [2, 2, 2]


def test_no_draw_takes_a_token_that_cannot_be():
    import torch

    logits = torch.tensor([[-200.0, 0.0, 1.0, -200.0]]).repeat(3, 1)
    tokens = _sample(logits, np.array([0.0, 0.5, 1 - 2.0**-53]), 1.0)
    assert tokens.tolist() == [1, 2, 2]
