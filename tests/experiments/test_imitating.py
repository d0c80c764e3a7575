"""The experiment of imitation by an honest metric: arms cost the same, and its table marks who recites."""

import pandas as pd
import pytest

from crowd_sim.config import RunConfig
from experiments.crowds import imitating
from experiments.crowds.imitating import ARMS, COLUMNS, content, table
from tests.llm.small import make_parts


@pytest.mark.parametrize("arm", ARMS)
def test_every_arm_passes_as_often_over_the_same_texts(arm, tmp_path):
    config = RunConfig.parse(content(arm, "love", 1, None))
    assert config.tournament.rounds * config.task.epochs == 6
    assert config.crowd == RunConfig.parse(content("soup", "love", 1, None)).crowd


def rows(energies, copied):
    figures = dict.fromkeys(COLUMNS, 0.5) | {"tokens": 1000.0}
    return pd.DataFrame(
        figures
        | {"emotion": emotion, "seed": 1, "arm": arm, "energy": energy + 0.01 * i, "copied": copied.get(arm, 0.0)}
        for i, emotion in enumerate(("love", "anger"))
        for arm, energy in zip(("base", *ARMS), energies, strict=True)
    )


def test_the_table_ranks_by_energy_and_marks_who_recites():
    lines = "\n".join(table(rows((0.6, 0.2, 0.3, 0.3, 0.1, 0.4), {"equal tokens": 0.4})))
    assert "| equal tokens † | 0.205" in lines
    assert "| soup | 0.105" in lines
    assert "| soup | −0.100 [−0.100, −0.100] | −0.200 [−0.200, −0.200] |" in lines
    assert "named after all were seen: soup." in lines
    assert "over that of equal tokens: 0.51" in lines
    assert "held-out loss is lower in 0 of 2" in lines


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
    given = (["equal steps", "soup"], "love", 1, tmp_path / "out", None, source, str(parts / "model"))
    found = pd.DataFrame(imitating.rows_of(*given))
    assert sorted(found["arm"]) == ["base", "equal steps", "soup"]
    assert len(set(found.loc[found["arm"] != "base", "tokens"])) == 1
    monkeypatch.setattr("crowd_sim.models.lora.LoraLearner.tune", lambda *_: pytest.fail("all is there"))
    assert pd.DataFrame(imitating.rows_of(*given)).equals(found)


def test_single_models_alone_have_no_best_tournament():
    found = rows((0.6, 0.2, 0.3, 0.3, 0.1, 0.4), {})
    lines = "\n".join(table(found[found["arm"].isin(("base", "equal steps"))]))
    assert "| equal steps | 0.305" in lines
    assert "Best" not in lines
