"""Small configurations of every kind; each is there for a path through the code that no other one takes.

Paths in them are relative: what a run leaves must not depend on where it was made.
"""

from itertools import product
from pathlib import Path
from typing import Any

Content = dict[str, Any]

TEMPLATE = "<q>{prompt}<a>"
WORDS = ("sun", "rain on tin", "a mild day", "no", "snow, again", "wind")
_WARM = {"target": "warm", "n_workers": 8}


_MOVED = {"selection": "search", "incumbent": "incumbent", "drop_used": "drop_used"}
"""Fields of the tournament that stood in the section of the language model when the hashes were made."""


def _imitate(section: Content, tournament: Content) -> Content:
    """The sections of a tournament of language models, in today's words."""
    own = {name: value for name, value in section.items() if name not in _MOVED}
    moved = {new: section[old] for old, new in _MOVED.items() if old in section}
    return {"task": {"kind": "imitate", **own}, "tournament": {**tournament, "drop_used": True, **moved}}


def _points(
    tournament: Content | None = None, valuation: Content | None = None, crowd: Content | None = None
) -> Content:
    return {
        "seed": 5,
        "runs": 2,
        "crowd": {"n_workers": 20, "chunk_size": 8, **(crowd or {})},
        "tournament": {"rounds": 10, "n_groups": 3, **(tournament or {})},
        "valuation": {"budget": 400, "kernel_shap_budget": 300, **(valuation or {})},
    }


def _texts(
    section: Content | None = None,
    tournament: Content | None = None,
    valuation: Content | None = None,
    crowd: Content | None = None,
    **changes: Any,
) -> Content:
    generation = {"selection_outputs": 4, "report_outputs": 3, "max_new_tokens": 5}
    tuning = {
        "model": "parts/model",
        "prompt_template": TEMPLATE,
        "rank": 2,
        "epochs": 1,
        "batch_size": 4,
        "learning_rate": 0.02,
        "max_tokens": 40,
        "device": "cpu",
        "phi": {"kind": "embedding", "model": "parts/phi"},
        "generation": generation,
        **(section or {}),
    }
    source = {
        "source": "feedback",
        "path": "parts/feedback.jsonl",
        "target": "parts/target.txt",
        "n_workers": len(WORDS),
    }
    return {
        "seed": 4,
        "runs": 1,
        "crowd": {**source, **(crowd or {})},
        "valuation": {"method": "none", **(valuation or {})},
        **_imitate(tuning, {"rounds": 2, "n_groups": 2, "mistake_probability": 0.0, **(tournament or {})}),
        **changes,
    }


VECTORS: dict[str, Content] = {
    f"{grouping}_{score}": _points({"grouping": grouping, "score": score})
    for grouping, score in product(("random", "epsilon_greedy", "interleaved"), ("l2", "l1", "dot"))
} | {
    "marginal": _points({"reward": "marginal", "grouping": "epsilon_greedy"}, {"method": "none"}),
    "calibrated": _points({"reward": "calibrated", "grouping": "interleaved"}, {"method": "permutation"}),
    "exponentiated": _points({"reward": "exponentiated"}, {"method": "none"}),
    "calibrated_dot": _points({"reward": "calibrated", "score": "dot"}, {"kernel_shap_budget": 0}),
    "own_behaviour": _points(crowd={"behaviour": "tests.golden.strategies:lazy"}, valuation={"kernel_shap_budget": 0}),
    "own_score": _points({"score": "tests.golden.strategies:largest_gap"}, {"method": "surrogate", "budget": 1000}),
    "exact": _points({"score": "l1"}, {"method": "exact"}, {"n_workers": 8}),
    "no_values": _points({"step": 0.3, "initial_range": [1.0, 2.0]}, {"method": "none"}),
    "first": _points({"score": "squared_l2"}, {"kernel_shap_budget": 0}, {"selection": "first", "seed": 9}),
    "file": _points({"convergence_distance": 3.0}, crowd={"source": "vectors", "path": "parts/vectors.csv"}),
    "mistakes": _points({"mistake_probability": 0.5, "reward": "marginal"}, {"method": "none"}),
    "defended": _points(
        {
            "reward": "calibrated",
            "bounds": [1.0, 4.5],
            "weight_power": 20,
            "measure_every": 4,
            "audits": 3,
            "calibration": {"window": 40, "half_life": 4.0, "errors": True},
        },
        {"method": "none"},
        {"behaviour": "tests.golden.strategies:lazy"},
    ),
    **{
        name: _points({"aggregation": name, "clipping_radius": 1.0}, {"method": "none"})
        for name in ("median", "trimmed_mean", "geometric_median", "centered_clipping", "multi_krum")
    },
    "uneven_groups": _points({"n_groups": 7, "grouping": "interleaved"}, {"method": "none"}, {"n_workers": 47}),
}

SWEEPS: dict[str, Content] = {
    "sweep": {
        **_points({"rounds": 5}, crowd={"n_workers": 12}),
        "sweep": {
            "crowd": {"n_workers": [8, 12]},
            "tournament": {"score": ["l2", "dot"], "reward": ["rank", "marginal"]},
        },
    }
}

MODELS: dict[str, Content] = {
    "best": _texts(runs=2),
    # with this seed one merged model wins and two do not
    "merge": _texts({"selection": "merge", "drop_used": False}, {"rounds": 3, "n_groups": 3}, seed=6),
    "merge_mistakes": _texts({"selection": "merge"}, {"mistake_probability": 1.0}),
    "halving": _texts({"selection": "halving", "epochs": 4}, {"n_groups": 3, "grouping": "interleaved"}, seed=8),
    "baselines": _texts({"equal_tokens": True, "single_sizes": [2, 5]}),
    "marginal": _texts({"drop_used": False}, {"reward": "marginal", "rounds": 3, "grouping": "epsilon_greedy"}),
    "calibrated": _texts({"drop_used": False}, {"reward": "calibrated", "rounds": 3}),
    "no_incumbent": _texts({"incumbent": False}, {"mistake_probability": 0.5, "score": "dot"}, seed=5),
    "likeliest": _texts(
        {
            "generation": {
                "temperature": 0,
                "selection_outputs": 4,
                "selection_prompts": ["sun?", "wind?"],
                "report_outputs": 3,
            }
        }
    ),
    "exact": _texts(None, {"rounds": 1}, {"method": "exact"}, {"n_workers": 4, "selection": "first"}),
    "permutation": _texts({"drop_used": False}, {"rounds": 1, "score": "l1"}, {"method": "permutation", "budget": 30}),
    "cut": _texts(
        {"long_texts": "cut", "max_tokens": 60},
        {"rounds": 1},
        crowd={"source": "example_feedback", "path": None, **_WARM},
    ),
}


def write_people(folder: Path) -> None:
    """The file of vectors that a configuration reads."""
    rows = [",".join(str((7 * i * i + 3 * j * i + j) % 11 / 2) for j in range(5)) for i in range(30)]
    folder.mkdir(exist_ok=True)
    (folder / "vectors.csv").write_text("\n".join(["a,b,c,d,e", *rows]) + "\n", encoding="utf-8")


def write_texts(folder: Path) -> None:
    """A language model, a Φ, feedback and a target."""
    import json

    from tests.learners.tiny_llm import make_tiny_llm, make_tiny_phi

    make_tiny_llm(folder / "model")
    make_tiny_phi(folder / "phi")
    lines = [
        {"worker": f"w{i}", "prompt": f"day {j}?", "response": f"{word} {j}"}
        for i, word in enumerate(WORDS)
        for j in range(1 + i % 3)
    ]
    (folder / "feedback.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    (folder / "target.txt").write_text("sun and rain all day long\nsun\nmild wind\n", encoding="utf-8")
