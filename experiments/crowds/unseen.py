"""How near a finished run's model comes to all comments of an emotion that nobody trains on.

A run reports the energy distance of forty outputs and nine held-out comments, whose error is that of the nine. An emotion has
15 to 58 neighbours more, as short, that the crowd was not dealt: drawn alike, they and the nine are a sample three to seven
times as large, and two hundred outputs cost six seconds.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from crowd_sim.config import RunConfig
from crowd_sim.crowd.texts import TextCrowd
from crowd_sim.files import write_json
from crowd_sim.models.adapters import load_adapter
from crowd_sim.models.jobs import OutputJob
from crowd_sim.models.lora import shared_learner
from crowd_sim.models.training import Key
from crowd_sim.random import Purpose
from crowd_sim.tasks.adapters.settings import learner_spec, sampling_of
from crowd_sim.tasks.imitate.honesty import energy_distance
from crowd_sim.tasks.imitate.participants import load_texts

OUTPUTS = 200
_ROUND = 1000
"""Of the key of these outputs' draws: no round of a run has it."""


def unseen_texts(crowd: TextCrowd, max_words: int) -> tuple[str, ...]:
    """What was held out, and the other texts of the target's that are as short and that nobody trains on."""
    held, trained = [example.response for example in crowd.held_out], {e.response for e in crowd.in_turn()}
    others = (text for text in crowd.target_texts if text not in trained and len(text.split()) <= max_words)
    return tuple(dict.fromkeys([*held, *others]))


def unseen_energy(folder: Path, content: dict[str, Any], outputs: int = OUTPUTS) -> dict[str, float]:
    """Energy distance of so many outputs of a finished run's model to `unseen_texts`, and its jackknife's error.

    It is kept beside the folder, and read from there the next time.
    """
    kept = folder.parent / f"{folder.name}.json"
    if not kept.exists():
        config = RunConfig.parse(content)
        learner, crowd = shared_learner(learner_spec(config)), load_texts(config)
        model, key = load_adapter(folder / "adapter" / "run-0"), Key(config.seed, 0, _ROUND, 0)
        prompts = tuple(crowd.prompts[i % len(crowd.prompts)] for i in range(outputs))
        job = OutputJob(model, prompts, key, Purpose.REPORT_OUTPUTS, sampling_of(config))
        (drawn,) = learner.judge([job])
        texts = unseen_texts(crowd, int(content["crowd"]["max_words"]))
        energy, error = energy_distance(drawn.vectors, learner.embed(texts))
        write_json(kept, {"unseen": energy, "unseen_se": error, "texts": len(texts), "outputs": outputs})
    told = json.loads(kept.read_text())
    return {name: float(told[name]) for name in ("unseen", "unseen_se")}
