"""Losses and gradients of packed rows against TRL's on the same tokens, padded, each example by itself."""

from collections import defaultdict
from contextlib import nullcontext
from types import SimpleNamespace

import numpy as np
import pytest

from crowd_sim.models.packing import Tokens, pack, rows_of_units
from tests.learners.busy import busy_adapter
from tests.learners.tiny_llm import make_tiny_llm

pytest.importorskip("torch", reason="needs the extra llm")
pytest.importorskip("peft", reason="needs the extra llm")

import torch

from crowd_sim.models.adapters import AdapterStack, LoraSpec
from crowd_sim.models.language_model import load_base
from crowd_sim.models.likelihoods import ROW_TOKENS, log_likelihoods, responses_of, token_losses
from crowd_sim.models.objectives import OBJECTIVES, Options, best_of, group_relative, kept_near, leave_one_out
from crowd_sim.models.steps import steps_of
from crowd_sim.models.training import Key, PackedTuneJob, Training
from crowd_sim.models.tuning import tune

PROMPTS = ((1, 40, 41, 2), (1, 50, 2), (1, 60, 61, 62, 63, 2), (7,))
KEY = Key(3, 0, 1, 0)
N = 6


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    base = load_base(str(make_tiny_llm(tmp_path_factory.mktemp("llama"))), "cpu", "float32")
    stack = AdapterStack(base, LoraSpec(rank=3, alpha=6.0))
    return base, stack, busy_adapter(stack, 1), busy_adapter(stack, 2)


def responses(seed: int, *, one_token_prompts: bool = False) -> tuple[Tokens, ...]:
    draws = np.random.default_rng(seed)
    made = []
    for i in range(N):
        response = (*draws.integers(3, 200, draws.integers(2, 9)).tolist(), 0)
        made.append(Tokens(PROMPTS[3] if one_token_prompts else PROMPTS[i % 3], response, len(response)))
    return tuple(made)


FIRST, SECOND = responses(1), responses(2)
SHORT, RIVALS = responses(1, one_token_prompts=True), responses(2, one_token_prompts=True)
ADVANTAGES = (0.5, -0.25, 1.5, -1.0, 0.125, -0.75)


def padded(examples):
    """Ids, attention and completion mask, padded on the right."""
    width = max(len(e.prompt) + len(e.response) for e in examples)
    ids, attended, completion = (torch.zeros(len(examples), width, dtype=torch.int64) for _ in range(3))
    for i, e in enumerate(examples):
        n, total = len(e.prompt), len(e.prompt) + len(e.response)
        ids[i, :total] = torch.tensor(e.prompt + e.response)
        attended[i, :total] = 1
        completion[i, n:total] = 1
    return ids, attended, completion


class Padded:
    """The model as TRL calls it: log-probabilities of labelled tokens, nothing of the packed path."""

    training = True

    def __init__(self, base):
        self.base = base

    def logits(self, ids, attended):
        return self.base.model(input_ids=ids, attention_mask=attended, use_cache=False).logits

    def __call__(self, input_ids, attention_mask, labels, **_):
        found = self.logits(input_ids, attention_mask)[:, :-1].log_softmax(-1)
        wanted = labels[:, 1:]
        there = wanted != -100
        log_probs = found.gather(-1, wanted.clamp_min(0)[..., None])[..., 0] * there
        nothing = torch.zeros_like(log_probs)
        return SimpleNamespace(log_probs=log_probs, entropy=nothing, mean_logits=nothing, is_top1=there)

    def summed(self, examples):
        ids, attended, completion = padded(examples)
        return self(ids, attended, ids.masked_fill(completion == 0, -100)).log_probs.sum(1)


def trainer(model, **settings):
    """What TRL's losses ask of a trainer."""
    accelerator = SimpleNamespace(
        device=torch.device("cpu"),
        num_processes=1,
        gather=lambda x: x,
        gather_for_metrics=lambda x: x,
        reduce=lambda x, reduction: x,
    )
    common = {"aux_loss_enabled": False, "_total_train_tokens": 0, "_tp_size": 1, "use_weighting": False}
    metrics = defaultdict(lambda: defaultdict(list))
    return SimpleNamespace(accelerator=accelerator, _metrics=metrics, model=model, **common, **settings)


def of_pairs(loss_types, weights, smoothing=0.0):
    def loss(model, before, first, second, options):
        module = pytest.importorskip("trl.trainer.dpo_trainer", reason="needs trl and datasets")
        ids, attended, completion = padded([*first, *second])
        inputs = {"input_ids": ids, "attention_mask": attended, "completion_mask": completion}
        inputs |= {"ref_chosen_logps": before(first), "ref_rejected_logps": before(second)}
        own = {"beta": options.beta, "loss_types": loss_types, "loss_weights": weights, "label_smoothing": smoothing}
        stub = trainer(model, f_divergence_type="reverse_kl", ld_alpha=None, precompute_ref_logps=True, **own)
        return module.DPOTrainer._compute_loss(stub, model, inputs, False)

    return loss


def of_kto(model, before, first, second, options):
    module = pytest.importorskip("trl.trainer.kto_trainer", reason="needs trl and datasets")
    names = ("input_ids", "attention_mask", "completion_mask")
    strangers = [Tokens(e.prompt, o.response, o.n_trained) for e, o in zip(first, first[1:] + first[:1], strict=True)]
    inputs = dict(zip(names, padded(first), strict=True))
    inputs |= {f"KL_{name}": part for name, part in zip(names, padded(strangers), strict=True)}
    inputs |= {"label": torch.tensor([a > 0 for a in ADVANTAGES])}
    inputs |= {"ref_logps": before(first), "ref_KL_logps": before(strangers)}
    own = {"beta": options.beta, "loss_type": "kto", "desirable_weight": 1.0, "undesirable_weight": 1.0}
    stub = trainer(model, calculate_KL=True, precompute_ref_logps=True, **own)
    stub._compute_kl_logps = lambda model, batch: module.KTOTrainer._compute_kl_logps(stub, model, batch)
    return module.KTOTrainer._compute_loss(stub, model, inputs, False)


def of_orpo(model, before, first, second, options):
    # TRL's cross-entropy is of prompts, too; behind prompts of one token there is nothing of them to predict
    module = pytest.importorskip("trl.experimental.orpo.orpo_trainer", reason="needs trl and datasets")
    ids, attended, completion = padded([*first, *second])
    logits, labels = model.logits(ids, attended), ids.masked_fill(completion == 0, -100)
    means = module.ORPOTrainer.get_batch_logps(logits, labels, average_log_prob=True)
    nll = torch.nn.functional.cross_entropy(logits[:N, :-1].flatten(0, 1), labels[:N, 1:].flatten())
    return nll - module.ORPOTrainer.odds_ratio_loss(trainer(model, beta=options.beta), means[:N], means[N:])[0].mean()


def of_outputs(kind):
    def loss(model, before, first, second, options):
        name = {"rloo": "RLOOTrainer", "grpo": "GRPOTrainer"}[kind]
        module = pytest.importorskip(f"trl.trainer.{kind}_trainer", reason="needs trl and datasets")
        ids, attended, completion = padded(first)
        inputs = {"prompt_ids": ids[:, :1], "prompt_mask": attended[:, :1], "advantages": torch.tensor(ADVANTAGES)}
        inputs |= {"completion_ids": ids[:, 1:], "completion_mask": completion[:, 1:], "old_logps": before(first)}
        found = model(ids, attended, ids.masked_fill(completion == 0, -100)).log_probs
        own = {"epsilon_low": options.clip, "epsilon_high": options.clip, "beta": 0.0, "loss_type": kind}
        own |= {"importance_sampling_level": "token", "top_entropy_quantile": 1.0, "_entropy_bonus_enabled": False}
        own |= {"off_policy_mask_threshold": None, "use_vllm": False, "current_gradient_accumulation_steps": 1}
        stub = trainer(model, args=SimpleNamespace(delta=None), **own)
        stub._get_per_token_logps_and_entropies = lambda *_, **__: (found, torch.zeros_like(found), None)
        return getattr(module, name)._compute_loss(stub, model, inputs)

    return loss


def of_sft(model, before, first, second, options):
    ids, attended, completion = padded(first)  # as SFTTrainer asks it of transformers
    labels = ids.masked_fill(completion == 0, -100)
    return model.base.model(input_ids=ids, attention_mask=attended, labels=labels, use_cache=False).loss


def of_kept(model, before, first, second, options):
    return of_sft(model, before, [e for e, a in zip(first, ADVANTAGES, strict=True) if a > 0], second, options)


CASES = {
    "sft": ("sft", Options(), of_sft, FIRST, ()),
    "dpo": ("dpo", Options(beta=0.2), of_pairs(["sigmoid"], [1.0]), FIRST, SECOND),
    "spin": ("spin", Options(beta=0.1), of_pairs(["sigmoid"], [1.0]), FIRST, SECOND),
    "dpo_noisy": ("dpo", Options(0.2, 0.1), of_pairs(["robust"], [1.0], 0.1), FIRST, SECOND),
    "dpo_sft": ("dpo", Options(0.2, 0.0, 0.5), of_pairs(["sigmoid", "sft"], [1.0, 0.5]), FIRST, SECOND),
    "ipo": ("ipo", Options(beta=0.5), of_pairs(["ipo"], [1.0]), FIRST, SECOND),
    "kto": ("kto", Options(beta=0.2), of_kto, FIRST, ()),
    "orpo": ("orpo", Options(beta=0.3), of_orpo, SHORT, RIVALS),
    "raft": ("raft", Options(), of_kept, FIRST, ()),
    "rloo": ("rloo", Options(clip=0.1), of_outputs("rloo"), FIRST, ()),
    "grpo": ("grpo", Options(), of_outputs("grpo"), FIRST, ()),
}


@pytest.mark.parametrize("row_tokens", [1024, 36])
@pytest.mark.parametrize("case", CASES)
def test_losses_and_gradients_are_those_of_trl(tiny, case, row_tokens):
    base, stack, start, policy = tiny
    objective, options, wanted, first, second = CASES[case]
    model = Padded(base)
    gains = ADVANTAGES if objective in ("rloo", "grpo") else tuple(float(a > 0) for a in ADVANTAGES)

    def before(examples):
        stack.put([start], trainable=False)
        with torch.no_grad():
            found = model.summed(examples)
        stack.put([policy], trainable=True)
        return found

    before(first)
    expected = wanted(model, before, first, second, options)
    expected.backward()
    gradient = stack.weights(0).grad.clone()

    training = Training(1, N, 1e-3, 1.0, row_tokens)
    job = PackedTuneJob(start, first, KEY, None, objective, options, second, gains)
    steps = [*(steps_of(base, stack, 0, job, training))]
    assert len(steps) == 1
    stack.put([policy], trainable=True)
    rows = steps[0].rows()
    assert max(len(row.packed.ids) for row in rows) <= row_tokens
    assert len(rows) > (row_tokens < 1024)
    shares = []
    for row in rows:
        share = row.loss(token_losses(base, [row.packed])[0])
        share.backward()
        shares.append(share.item())
    assert abs(sum(shares) - expected.item()) < 1e-5
    assert gradient.abs().max() > 1e-3  # there is something to compare
    torch.testing.assert_close(stack.weights(0).grad, gradient, rtol=0, atol=1e-5)


def test_rewards_are_kept_near_the_start_as_trl_does_it(tiny, monkeypatch):
    base, stack, start, policy = tiny
    module = pytest.importorskip("trl.trainer.rloo_trainer", reason="needs trl and datasets")
    outputs = [Tokens(PROMPTS[i // 3], e.response, e.n_trained) for i, e in enumerate(FIRST)]  # three to a prompt
    rewards, model = np.random.default_rng(1).normal(size=N), Padded(base)

    def per_token(adapter, ids, attended, n_kept, *_, **__):
        stack.put([adapter], trainable=False)
        return model(ids, attended, ids.masked_fill(attended == 0, -100)).log_probs[:, -n_kept:], None, None

    monkeypatch.setattr(module, "gather", lambda found: found)
    monkeypatch.setattr(module, "gather_object", lambda found: found)
    monkeypatch.setattr(module, "disable_gradient_checkpointing", lambda *_: nullcontext())
    ids = [list(map(list, part)) for part in ([e.prompt for e in outputs], [e.response for e in outputs])]
    stub = trainer(policy, beta=0.3, ref_model=start, reward_weights=torch.ones(1), reward_func_names=["own"])
    stub.args = SimpleNamespace(per_device_train_batch_size=N, gradient_checkpointing_kwargs=None, report_to=[])
    stub.model = SimpleNamespace(training=True)
    own = {"reward_clip_range": None, "normalize_advantages": False, "mask_truncated_completions": False}
    own |= {"num_generations": 3, "pad_to_multiple_of": None, "_pending_extra_logs": {}, "_pending_metrics": {}}
    own |= {"_tokenizer": SimpleNamespace(pad_token_id=0)}
    own |= {"_generate": lambda _: (*ids, [""] * N)}
    own |= {"_calculate_rewards": lambda *_: torch.tensor(rewards)[:, None]}
    vars(stub).update(own)
    stub.accelerator.process_index = 0
    stub._logs = {
        "prompt": [],
        "completion": [],
        **{k: defaultdict(list) for k in ("rewards", "extra")},
        "advantages": [],
    }
    stub._get_per_token_logps_and_entropies = lambda which, *given, **_: per_token(
        start if which is start else policy, *given
    )
    wanted = module.RLOOTrainer._generate_and_score_completions(stub, [{"prompt": "p"}] * N)["advantages"]
    now, before = (responses_of(base, stack, adapter, outputs) for adapter in (policy, start))
    assert np.abs(now - before).max() > 0.1  # there is something to compare
    found = leave_one_out(kept_near(rewards, now, before, 0.3).reshape(2, 3)).ravel()
    np.testing.assert_allclose(found, wanted.numpy(), rtol=0, atol=1e-5)


def test_likelihoods_of_several_adapters_are_each_ones_own(tiny):
    base, stack, start, policy = tiny
    model = Padded(base)
    wanted = []
    for adapter in (start, policy):
        stack.put([adapter], trainable=False)
        with torch.no_grad():
            wanted.append(model.summed(FIRST).numpy())
    stack.put([start, policy], trainable=False)
    with torch.no_grad():
        found = log_likelihoods(base, [pack(FIRST), pack(FIRST)])
    np.testing.assert_allclose([f.numpy() for f in found], wanted, atol=1e-5, rtol=0)
    np.testing.assert_allclose(responses_of(base, stack, policy, FIRST, 30), wanted[1], atol=1e-5, rtol=0)


@pytest.mark.parametrize("objective", sorted(set(OBJECTIVES) - {"sft", "rloo", "grpo"}))
def test_tuning_lowers_the_loss_and_leaves_the_start(tiny, objective):
    base, stack, start, _ = tiny
    pairs = OBJECTIVES[objective][1] == 2
    gains = tuple(float(a > 0) for a in ADVANTAGES)
    job = PackedTuneJob(start, FIRST, KEY, None, objective, Options(), SECOND if pairs else (), gains)
    kept = {name: weights.copy() for name, weights in start.items()}
    (tuned,) = tune(base, stack, [job], Training(4, 3, 5e-3))
    assert tuned.losses[-2:].mean() < tuned.losses[:2].mean()
    assert tuned.n_tokens == 4 * sum(e.n_trained for e in (*FIRST, *(SECOND if pairs else ())))
    assert all((start[name] == kept[name]).all() for name in kept)
    again, other = tune(base, stack, [job, job], Training(4, 3, 5e-3))
    assert all((again.adapter[name] == tuned.adapter[name]).all() for name in kept)
    assert all((other.adapter[name] == tuned.adapter[name]).all() for name in kept)


def test_tuning_on_pairs_ends_with_the_pair_that_reaches_its_tokens(tiny):
    base, stack, start, _ = tiny
    (tuned,) = tune(base, stack, [PackedTuneJob(start, FIRST, KEY, 100, "dpo", Options(), SECOND)], Training(1, 2))
    longest = max(a.n_trained + b.n_trained for a, b in zip(FIRST, SECOND, strict=True))
    assert 100 <= tuned.n_tokens < 100 + longest


def test_no_row_has_more_tokens_than_it_may():
    draws = np.random.default_rng(0)
    long = [Tokens((i // 7, *range(300)), (*draws.integers(3, 9, 50).tolist(), 0), 51) for i in range(100)]
    rows = rows_of_units([(e,) for e in long], 10_000, 1024)
    assert sorted(i for row in rows for i in row) == list(range(100))
    packed = [len(pack([long[i] for i in row]).ids) for row in rows]
    assert max(packed) <= 1024
    assert min(packed[:-1]) > 1024 - 400


def test_rows_of_long_prompts_have_the_numbers_of_each_example_alone(tiny):
    """A hundred examples of 300-token prompts: in one row a mask of 660 million places."""
    base, stack, _, policy = tiny
    draws = np.random.default_rng(0)
    long = [Tokens((*draws.integers(3, 200, 299).tolist(), i + 3), (*[i + 4] * 20, 0), 21) for i in range(100)]
    alone = sum(responses_of(base, stack, policy, [example])[0] for example in long)
    (step,) = steps_of(base, stack, 0, PackedTuneJob(policy, tuple(long), KEY), Training(1, 100))
    stack.put([policy], trainable=False)
    rows = step.rows()
    assert max(len(row.packed.ids) for row in rows) <= ROW_TOKENS
    with torch.no_grad():
        shares = [float(row.loss(token_losses(base, [row.packed])[0])) for row in rows]
    assert sum(shares) == pytest.approx(-alone / (100 * 21), abs=1e-5)


def test_rewards_within_a_prompts_outputs():
    rewards = np.array([[1.0, 0.0, 0.5], [2.0, 2.0, 2.0]])
    np.testing.assert_allclose(leave_one_out(rewards), [[0.75, -0.75, 0], [0, 0, 0]], atol=1e-12)
    np.testing.assert_allclose(group_relative(rewards), [[0.9998, -0.9998, 0], [0, 0, 0]], atol=1e-4)
    assert best_of(rewards).tolist() == [[1, 0, 0], [1, 0, 0]]
