"""The plain way, the oracle: peft on one candidate, padded batches, every example with its prompt."""

from collections.abc import Sequence

import numpy as np

from crowd_sim.models.adapters import Adapter, LoraSpec
from crowd_sim.models.packing import Tokens


def plain_model(folder, adapter: Adapter, spec: LoraSpec, tmp_path):
    """The base with one adapter, loaded by peft from a saved folder, its weights trainable."""
    import peft
    import transformers

    from crowd_sim.models.adapters import save_adapter

    save_adapter(tmp_path / "start", adapter, spec, str(folder))
    base = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype="float32")
    return peft.PeftModel.from_pretrained(base, tmp_path / "start", is_trainable=True).eval()


def plain_loss(model, batch: Sequence[Tokens]):
    """Mean cross-entropy over the responses' tokens."""
    import torch

    width = max(len(e.prompt) + e.n_trained for e in batch)
    ids = torch.zeros((len(batch), width), dtype=torch.int64)
    mask, labels = torch.zeros_like(ids), torch.full_like(ids, -100)
    for row, example in enumerate(batch):
        tokens = [*example.prompt, *example.response[: example.n_trained]]
        ids[row, : len(tokens)] = torch.tensor(tokens)
        mask[row, : len(tokens)] = 1
        labels[row, len(example.prompt) : len(tokens)] = ids[row, len(example.prompt) : len(tokens)]
    logits = model(input_ids=ids, attention_mask=mask).logits
    return torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten(), ignore_index=-100)


def gradients(model) -> dict[str, np.ndarray]:
    """Gradients by the names of `Adapter`."""
    return {
        name.removeprefix("base_model.model.").removesuffix(".default.weight"): weights.grad.numpy().copy()
        for name, weights in model.named_parameters()
        if weights.grad is not None
    }


def plain_tune(model, batches: Sequence[Sequence[Tokens]], learning_rate: float, max_grad_norm: float) -> list[float]:
    """Losses of all steps."""
    import torch

    weights = [w for w in model.parameters() if w.requires_grad]
    optimiser = torch.optim.AdamW(weights, lr=learning_rate, weight_decay=0.0)
    losses = []
    for batch in batches:
        loss = plain_loss(model, batch)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, max_grad_norm)
        optimiser.step()
        optimiser.zero_grad()
        losses.append(loss.item())
    return losses
