import json

import numpy as np
import pandas as pd
import pytest

from crowd_sim.crowd.sources.neighbourhoods import Neighbourhood, neighbourhoods_table
from crowd_sim.errors import InputError
from crowd_sim.models.distilled import refuse_fitted, text_key
from crowd_sim.models.phi import load_phi
from crowd_sim.progress import quiet
from tests.bad_input.command import call, check_line

torch = pytest.importorskip("torch", reason="the extra llm is not installed")
pytest.importorskip("transformers", reason="the extra llm is not installed")

from crowd_sim.cli.distill import distill_into  # noqa: E402
from crowd_sim.models.distill import measure  # noqa: E402
from crowd_sim.models.mlp_head import fit_heads  # noqa: E402
from tests.learners.tiny import save_encoder  # noqa: E402

LABELS = ["has x", "long"]


def scored(n=400, seed=0):
    """Texts of letters; the scores are whether there is an x in them and how long they are."""
    draws = np.random.default_rng(seed)
    texts = ["".join(draws.choice(list("abcdx"), draws.integers(2, 12))) for _ in range(n)]
    return pd.DataFrame({"text": texts, "scores": [[0.95 if "x" in t else 0.05, len(t) / 12] for t in texts]})


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    folder = tmp_path_factory.mktemp("given")
    save_encoder(folder / "encoder")
    frame = scored()
    frame.to_parquet(folder / "scored.parquet")
    (folder / "labels.json").write_text(json.dumps(LABELS))
    texts = (frame["text"][0].upper() + " ", frame["text"][1], "new one", "cdcd")
    judged = [Neighbourhood("has x", texts, np.tile([0.5, 0.25], (4, 1)))]
    neighbourhoods_table(judged).to_parquet(folder / "judged.parquet")
    return folder


def run(given, out, *, judged=True, seed=0, encoder=None, progress=quiet):
    return distill_into(
        out,
        given / "scored.parquet",
        given / "labels.json",
        given / "judged.parquet" if judged else None,
        encoder or str(given / "encoder"),
        seed,
        progress=progress,
    )


@pytest.fixture(scope="module")
def made(given, tmp_path_factory):
    out, told = tmp_path_factory.mktemp("made") / "phi", []
    description = run(given, out, progress=lambda stage, done, total, note="": told.append((stage, done == total)))
    assert {stage for stage, ends in told if ends} == {"start", "texts", "heads"}
    return out, description


def test_it_learns_and_says_how_well(made):
    out, description = made
    quality = description["quality"]["held_out"]
    assert quality["r2"] > 0.5
    assert json.loads((out / "distilled.json").read_text()) == description
    assert description["labels"] == LABELS
    phi = load_phi("distilled", str(out))
    assert phi.labels == tuple(LABELS)
    new = scored(60, seed=1)
    found = measure(phi(list(new["text"])), np.array(new["scores"].tolist()))
    assert found.r2 > quality["r2"] - 0.2  # the held-out figure keeps its promise on texts of no head
    assert phi(["", ""]).shape == (2, 2)
    assert np.isfinite(phi([""])).all()


def test_equal_bits_again_whatever_the_threads_and_others_by_another_seed(given, made, tmp_path):
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1 if before > 1 else 2)
        run(given, tmp_path / "again")
    finally:
        torch.set_num_threads(before)
    for name in ("distilled.json", "head.safetensors"):
        assert (tmp_path / "again" / name).read_bytes() == (made[0] / name).read_bytes()
    run(given, tmp_path / "again", seed=1)  # over the folder that is there
    assert (tmp_path / "again" / "head.safetensors").read_bytes() != (made[0] / "head.safetensors").read_bytes()


def test_texts_to_be_judged_are_not_fitted_to(given, made, tmp_path):
    frame = pd.read_parquet(given / "scored.parquet")
    judged = list(pd.read_parquet(given / "judged.parquet")["text"])
    keys = [text_key(text) for text in frame["text"]]
    left_out = sum(key in {text_key(text) for text in judged} for key in keys)
    assert left_out >= 2
    assert made[1]["texts_left_out"] == left_out
    assert made[1]["quality"]["held_out"]["n_texts"] == len(frame) - left_out
    phi = load_phi("distilled", str(made[0]))
    refuse_fitted(phi, judged)
    with pytest.raises(InputError, match=r"fitted to .* and 0 more"):
        refuse_fitted(phi, [*judged, frame["text"][5].upper()])
    run(given, tmp_path / "all", judged=False)
    with pytest.raises(InputError, match="--judged"):
        refuse_fitted(load_phi("distilled", str(tmp_path / "all")), judged)


def test_an_encoder_of_a_relative_place_is_found_from_elsewhere(given, tmp_path, monkeypatch):
    monkeypatch.chdir(given)
    run(given, tmp_path / "phi", encoder="encoder")
    monkeypatch.chdir(tmp_path)
    assert load_phi("distilled", str(tmp_path / "phi"))(["a"]).shape == (1, 2)


def test_a_text_and_its_double_are_left_out_together():
    draws = np.random.default_rng(0)
    features = np.repeat(draws.normal(size=(100, 100)), 2, axis=0)
    scores = np.repeat(draws.integers(2, size=(100, 1)), 2, axis=0)  # only a head that has seen a row can know them
    together = fit_heads(features, scores, np.repeat(np.arange(100), 2).tolist(), 0)
    apart = fit_heads(features, scores, list(range(200)), 0)
    assert measure(together.held_out, scores).r2 < 0.0 < 0.1 < measure(apart.held_out, scores).r2


def test_quality_of_known_guesses():
    given = np.array([[0.0, 1.0], [1.0, 0.0]])
    assert vars(measure(given, given)) == {"n_texts": 2, "r2": 1.0, "cosine": 1.0, "same_top_label": 1.0}
    assert [measure(guess, given[[0, 0]]).r2 for guess in (given[[0, 0]], given)] == [1.0, 0.0]
    found = measure(np.array([[0.5, 0.5], [0.0, 0.0]]), given)
    assert found.r2 == pytest.approx(1 - 1.5 / 1.0)
    assert found.cosine == pytest.approx(0.5**0.5 / 2)


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda f: (f / "distilled.json").unlink(), "no distilled.json in it"),
        (lambda f: (f / "head.safetensors").unlink(), "no head.safetensors in it"),
        (lambda f: (f / "distilled.json").write_text("{"), "a description of a head is needed"),
        (lambda f: (f / "distilled.json").write_text("[]"), "a description of a head is needed"),
        (lambda f: (f / "distilled.json").write_text("{}"), "a description of a head is needed"),
        (lambda f: change(f, format=0), "a description of format 1"),
        (lambda f: change(f, labels=["one"]), "do not fit the head"),
        (lambda f: change(f, encoder="/none"), "a folder that exists"),
        (lambda f: (f / "head.safetensors").write_bytes(b"0" * 50), "its SHA-256 is another"),
    ],
)
def test_a_damaged_folder_is_refused(made, tmp_path, damage, says):
    folder = tmp_path / "phi"
    folder.mkdir()
    for path in made[0].iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    damage(folder)
    with pytest.raises(InputError, match=says):
        load_phi("distilled", str(folder))


def change(folder, **values):
    path = folder / "distilled.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


@pytest.mark.parametrize(
    ("rows", "options", "says"),
    [
        ([{"text": "a", "scores": [0.1, float("nan")]}], {}, "scored.jsonl:1: scores must be a list of numbers"),
        ([{"text": "a", "scores": [0.1, 0.2]}], {"--out": "scored.jsonl/phi"}, "a folder that can be written"),
        ([{"text": "a"}], {}, "scored.jsonl:1: key 'scores' is missing"),
        ([{"text": "a", "scores": [0.1, 2]}], {}, "scored.jsonl:1: scores must be a list of numbers from 0 to 1"),
        ([{"text": "a", "scores": [0.1, 0.2]}, {"text": "b", "scores": [1]}], {}, "scored.jsonl:2: scores must be 2"),
        ([{"text": t, "scores": [0.1, 0.2]} for t in "abcdefg"], {}, "scores that are not the same for all"),
        ([{"text": "a", "scores": [i / 9, 0.2]} for i in range(9)], {}, "at least 5 different texts"),
        ([{"text": "a", "scores": [0.1]}], {}, "--labels = ['has x', 'long']: 1 different names"),
        ([{"text": "a", "scores": [0.1, 0.2]}], {"--labels": "none.json"}, "--labels = 'none.json'"),
        (
            [{"text": "a", "scores": [0.1, 0.2]}],
            {"--judged": "none.parquet"},
            "--judged = 'none.parquet': must be a file that exists",
        ),
        ([{"text": "a", "scores": [0.1, 0.2]}], {"--out": "full"}, "--out = 'full': a new or empty folder"),
        (
            [{"text": "a", "scores": [0.1, 0.2]}],
            {"--texts": "none.jsonl"},
            "--texts = 'none.jsonl': must be a file that exists",
        ),
    ],
)
def test_bad_input_of_the_command_is_one_line(given, tmp_path, monkeypatch, capsys, rows, options, says):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").touch()
    (tmp_path / "scored.jsonl").write_text("\n".join(map(json.dumps, rows)))
    own = {"--texts": "scored.jsonl", "--out": "out", "--labels": str(given / "labels.json")} | options
    own |= {"--encoder": str(given / "encoder")}
    assert call(["data", "distill", *(word for pair in own.items() for word in pair)]) == 2
    check_line(capsys.readouterr().err, (says,))
    assert not (tmp_path / "out").exists()


def test_the_command_prints_the_quality(given, tmp_path, capsys):
    arguments = ["--texts", given / "scored.parquet", "--encoder", given / "encoder", "--out", tmp_path / "phi"]
    assert call(["data", "distill", *map(str, arguments)]) == 0
    shown = capsys.readouterr().out
    assert "held out, by one head each" in shown
    assert load_phi("distilled", str(tmp_path / "phi")).labels == ("0", "1")
