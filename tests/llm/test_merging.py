"""Merged adapters against peft's own."""

import numpy as np
import pytest

from crowd_sim.models.merging import merge


def adapter(seed: int, rank: int, sizes=((6, 9), (5, 4))):
    draws = np.random.default_rng(seed)
    made = {}
    for i, (n_out, n_in) in enumerate(sizes):
        made[f"m{i}.lora_A"] = draws.normal(size=(rank, n_in)).astype(np.float32)
        made[f"m{i}.lora_B"] = draws.normal(size=(n_out, rank)).astype(np.float32)
    return made


def product(own, name: str):
    return own[f"{name}.lora_B"].astype(np.float64) @ own[f"{name}.lora_A"].astype(np.float64)


@pytest.mark.parametrize("weights", [(1.0,), (0.2, 0.8), (0.5, 0.3, 0.2)])
@pytest.mark.parametrize("rank", [1, 3, 7])
def test_the_merged_product_is_the_nearest_of_its_rank(weights, rank):
    own = [adapter(seed, rank) for seed in range(len(weights))]
    merged = merge(own, weights)
    assert {name: w.shape for name, w in merged.items()} == {name: w.shape for name, w in own[0].items()}
    assert all(w.dtype == np.float32 for w in merged.values())
    for name in ("m0", "m1"):
        wanted = sum(w * product(a, name) for w, a in zip(weights, own, strict=True))
        u, s, vt = np.linalg.svd(wanted)
        kept = min(rank, len(s))
        nearest = (u[:, :kept] * s[:kept]) @ vt[:kept]
        np.testing.assert_allclose(product(merged, name), nearest, atol=1e-5)


@pytest.mark.parametrize("rank", [2, 40])
def test_it_is_what_peft_makes(parts, tmp_path, rank):
    import peft
    import transformers

    from crowd_sim.models.adapters import AdapterStack, LoraSpec, save_adapter
    from crowd_sim.models.language_model import load_base
    from tests.learners.busy import busy_adapter

    folder = parts / "model"
    spec = LoraSpec(rank=rank, alpha=2.0 * rank)  # 40 is more than the modules of 32 have
    stack = AdapterStack(load_base(str(folder), "cpu", "float32"), spec)
    own, weights = [busy_adapter(stack, k) for k in range(3)], (0.5, 0.3, 0.2)
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype="float32")
    for k, one in enumerate(own):
        save_adapter(tmp_path / str(k), one, spec, str(folder))
        if k == 0:
            model = peft.PeftModel.from_pretrained(model, tmp_path / "0", adapter_name="0")
        else:
            model.load_adapter(tmp_path / str(k), adapter_name=str(k))
    if rank > 32:  # peft itself cannot make one of a rank that a module has not
        expected = {
            name: sum(w * product(a, name) for w, a in zip(weights, own, strict=True)) for name in names(own[0])
        }
    else:
        model.add_weighted_adapter(["0", "1", "2"], list(weights), "merged", combination_type="svd", svd_rank=rank)
        state = model.state_dict()
        expected = {
            name: (
                state[f"base_model.model.{name}.lora_B.merged.weight"].double()
                @ state[f"base_model.model.{name}.lora_A.merged.weight"].double()
            ).numpy()
            for name in names(own[0])
        }
        # peft gives the merged one a scale of its own
        module = model.get_submodule(f"base_model.model.{names(own[0])[0]}")
        scale = module.scaling["merged"] / module.scaling["0"]
        expected = {name: scale * wanted for name, wanted in expected.items()}
    merged = merge(own, weights)
    for name, wanted in expected.items():
        assert np.abs(wanted).max() > 1e-3
        np.testing.assert_allclose(product(merged, name), wanted, atol=1e-5)


def names(own) -> list[str]:
    return [name.removesuffix(".lora_A") for name in own if name.endswith(".lora_A")]


def test_an_adapter_merged_with_itself_stays():
    own = adapter(0, 3)
    merged = merge([own, own], (0.4, 0.6))
    for name in ("m0", "m1"):
        np.testing.assert_allclose(product(merged, name), product(own, name), atol=1e-5)


@pytest.mark.parametrize("rank", [1, 4, 7])
def test_a_merged_adapter_is_tuned_at_the_rate_of_those_it_is_made_of(rank):
    """B moves the product by the rows of A: short ones are a smaller rate, and none at all where both factors are 0."""
    own = [adapter(seed, rank) for seed in range(3)]
    for one in own:
        for name in names(one):
            one[f"{name}.lora_B"] *= 0 if name == "m0" else 1e-3
    merged = merge(own, (0.2, 0.3, 0.5))
    for name in ("m0", "m1"):
        gram = merged[f"{name}.lora_A"] @ merged[f"{name}.lora_A"].T
        square = np.mean([np.square(one[f"{name}.lora_A"]).sum(axis=1) for one in own])
        kept = min(rank, merged[f"{name}.lora_A"].shape[1], merged[f"{name}.lora_B"].shape[0])
        np.testing.assert_allclose(gram[:kept, :kept], square * np.eye(kept), atol=1e-5)


def test_an_adapter_of_weight_0_does_not_count():
    """`merge` gives it to candidates that beat nothing: those that grew far away have no part in the rate either."""
    own = [adapter(seed, 3) for seed in range(2)]
    far = {name: 100.0 * weights for name, weights in adapter(2, 3).items()}
    merged, alone = merge([own[0], far, own[1]], (0.4, 0.0, 0.6)), merge(own, (0.4, 0.6))
    for name, weights in alone.items():
        np.testing.assert_array_equal(merged[name], weights)
