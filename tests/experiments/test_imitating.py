"""The experiment of imitation by an honest metric: arms cost the same, and its table marks who recites."""

from pathlib import Path

import pandas as pd
import pytest

from crowd_sim.config import RunConfig
from crowd_sim.models.phi import load_phi
from experiments.crowds import imitating
from experiments.crowds.imitating import (
    ARMS,
    CHOSEN,
    COLUMNS,
    TRIED,
    content,
    development,
    development_table,
    labelled,
    own_texts,
    table,
)
from tests.llm.small import make_parts

RESULTS = Path(imitating.__file__).parents[1] / "results"


@pytest.mark.parametrize("arm", ARMS)
def test_every_arm_passes_as_often_over_the_same_texts(arm):
    for rate in TRIED[arm]:
        config = RunConfig.parse(content(arm, rate, "love", 1, None))
        assert config.tournament.rounds * config.task.epochs == (18 if "18" in arm else 6)
        assert config.crowd == RunConfig.parse(content("soup", 0.01, "love", 1, None)).crowd
        assert config.task.learning_rate == rate


def rows(energies, copied):
    figures = dict.fromkeys(COLUMNS, 0.5) | {
        "tokens": 1000.0,
        "generated": 100.0,
        "rate": 0.002,
        "energy_se": 0.1,
        "unseen_se": 0.05,
    }
    return labelled(
        pd.DataFrame(
            figures
            | {
                "emotion": emotion,
                "seed": 1,
                "arm": arm,
                "energy": energy + 0.01 * i,
                "unseen": energy,
                "copied": copied.get(arm, 0.0),
            }
            for i, emotion in enumerate(("love", "anger"))
            for arm, energy in zip(("base", *ARMS), energies, strict=True)
        )
    )


def test_the_table_ranks_by_energy_and_marks_who_recites():
    lines = "\n".join(table(rows((0.6, 0.2, 0.3, 0.3, 0.1, 0.5, 0.4, 0.5, 0.4, 0.3), {"equal tokens": 0.4})))
    assert "| equal tokens † | 0.002 | 18 | 0.205" in lines
    assert "| halving | 0.002 | 6 | 0.405" in lines
    assert "| soup | 0.002 | 6 | 0.105" in lines
    assert "| soup | −0.100 [−0.100, −0.100] | −0.200 [−0.200, −0.200] |" in lines
    assert "equal tokens, named after all were seen: soup, less equal tokens\n−0.100 [−0.100, −0.100]." in lines
    assert "at most as many steps, named after all were seen: soup, less equal steps\n−0.200 [−0.200, −0.200]." in lines
    assert "before it was measured: soup in small steps, less equal tokens\n0.300 [0.300, 0.300]." in lines
    assert "Its mean of soup over that of equal tokens: 0.51" in lines
    assert "Its mean of soup in small steps over that of equal tokens: 2.46" in lines
    assert "held-out loss is lower in 0 of 2" in lines
    assert (
        "| soup of 18 passes | −0.100 [−0.100, −0.100] | 0.100 [0.100, 0.100] |" in lines
    )  # of as many tokens, of fewer
    assert "Its mean of soup of 18 passes over that of single of 18 passes: 0.75" in lines


def test_who_is_nearer_by_few_sentences_is_concentrated_and_not_the_best():
    found = rows((0.6, 0.2, 0.3, 0.3, 0.1, 0.5, 0.4, 0.5, 0.4, 0.3), {})
    soup = found["arm"] == "soup"
    found.loc[soup, "distinct"] = 0.3
    lines = "\n".join(table(labelled(found)))
    assert "| soup (concentrated) | 0.002 | 6 | 0.105" in lines
    assert "named after all were seen: tournament, less equal tokens" in lines
    found.loc[soup, "energy"] += 0.3
    assert "concentrated)" not in "\n".join(table(labelled(found)))  # not nearer


def test_small_steps_are_not_as_few_as_equal_steps():
    lines = "\n".join(table(rows((0.6, 0.2, 0.3, 0.3, 0.2, 0.1, 0.4, 0.5, 0.4, 0.3), {})))
    assert "equal tokens, named after all were seen: soup in small steps, less equal tokens" in lines
    assert "at most as many steps, named after all were seen: soup, less equal steps" in lines


def test_an_emotion_is_run_once_and_read_afterwards(tmp_path, monkeypatch):
    parts = make_parts(tmp_path / "parts")
    usual = imitating.content

    def tiny(*given):
        made = usual(*given)
        phi = {"kind": "embedding", "model": str(parts / "phi")}
        drawn = {"selection_outputs": 2, "report_outputs": 4, "max_new_tokens": 4}
        return made | {
            "task": made["task"] | {"phi": phi, "device": "cpu", "rank": 2, "max_tokens": 128, "generation": drawn}
        }

    monkeypatch.setattr(imitating, "content", tiny)
    source = tmp_path / "neighbourhoods.parquet"
    pd.DataFrame(
        {"emotion": emotion, "rank": i, "text": f"{emotion} {i}", "scores": [0.5]}
        for emotion in ("love", "anger")
        for i in range(101)
    ).to_parquet(source)
    given = (
        [("equal steps", 0.002), ("soup", 0.004)],
        "love",
        1,
        tmp_path / "out",
        None,
        source,
        str(parts / "model"),
    )
    found = pd.DataFrame(imitating.rows_of(*given))
    assert sorted(found["arm"]) == ["base", "equal steps", "soup"]
    assert len(set(found.loc[found["arm"] != "base", "tokens"])) == 1
    assert sorted(path.name for path in (tmp_path / "out" / "love-1").iterdir()) == [
        "equal-steps-0.002",
        "equal-steps-0.002.json",
        "soup-0.004",
        "soup-0.004.json",
    ]
    assert found.loc[found["arm"] != "base", ["unseen", "unseen_se"]].notna().all(axis=None)
    for call in ("tune", "judge"):
        monkeypatch.setattr(f"crowd_sim.models.lora.LoraLearner.{call}", lambda *_: pytest.fail("all is there"))
    assert pd.DataFrame(imitating.rows_of(*given)).equals(found)
    made = imitating.content("soup", 0.004, "love", 1, None, source, str(parts / "model"))
    own = own_texts("love", 1, made, load_phi("embedding", str(parts / "phi")))
    lines = "\n".join(table(labelled(pd.DataFrame([*found.to_dict("records"), own]))))
    assert own["arm"] == "crowd's texts"
    assert f"energy distance of {own['energy']:.3f}".replace("-", "−") in lines


def test_single_models_alone_have_no_best_tournament():
    found = rows((0.6, 0.2, 0.3, 0.3, 0.1, 0.5, 0.4, 0.5, 0.4, 0.3), {})
    lines = "\n".join(table(found[found["arm"].isin(("base", "equal steps"))]))
    assert "| equal steps | 0.002 | 6 | 0.305" in lines
    assert "Best" not in lines


def tried(*cells, arm="soup"):
    """Rows of an arm, (rate, energy, copied) each."""
    told = dict.fromkeys(COLUMNS, 0.5) | {"emotion": "fear", "seed": 11, "arm": arm, "tokens": 1000.0}
    return pd.DataFrame(told | {"rate": rate, "energy": energy, "copied": copied} for rate, energy, copied in cells)


def test_development_chooses_the_nearest_that_does_not_recite():
    found = tried((0.001, 0.3, 0.0), (0.002, 0.2, 0.1), (0.002, 0.2, 0.05), (0.004, 0.1, 0.2))
    made = development(found)
    assert made.loc[made["chosen"], ["rate", "cells"]].to_numpy().tolist() == [[0.002, 2]]
    lines = list(development_table(found))
    assert "| **soup** | **0.002** | **2** | **0.200** | **0.500** | **0.500** | **8** | **50** |" in lines
    assert "| soup | 0.001 | 1 | 0.300 | 0.500 | 0.500 | 0 | 50 |" in lines


def test_an_arm_that_always_recites_has_no_choice():
    assert not development(tried((0.001, 0.4, 0.3), (0.002, 0.2, 0.2)))["chosen"].any()


def test_what_is_measured_is_what_development_chose():
    made = development(pd.read_csv(RESULTS / "imitating_development.csv"))
    assert all(set(own["rate"]) == set(TRIED[arm]) for arm, own in made.groupby("arm"))
    chosen = made[made["chosen"] & made["arm"].isin(ARMS)].set_index("arm")["rate"].to_dict()
    assert chosen == CHOSEN
