"""Who says what of which text: records, splits and items of classify, prefer and verify."""

import json
import re
from collections import Counter
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from crowd_sim import load_config
from crowd_sim.config.bad import BadConfig
from crowd_sim.crowd.sources.feedback import example_feedback, example_labels
from crowd_sim.crowd.verifiers import Rule, meaning_of
from crowd_sim.engine import simulate
from crowd_sim.errors import InputError
from crowd_sim.host import InProcess
from crowd_sim.models.jobs import TuneJob
from crowd_sim.models.lora import shared_learner
from crowd_sim.models.training import Key
from crowd_sim.tasks.adapters.settings import learner_spec, training_of
from crowd_sim.tasks.choose import dealing
from crowd_sim.tasks.choose.crowd import load_choices
from crowd_sim.tasks.choose.tables import labels_table
from crowd_sim.tasks.load import load_task, task_key
from tests.learners.tiny_llm import TEMPLATE
from tests.llm.choosing import ROWS, alternating, answers, by_peft, configuration, pairs, run


def judgements(n=48):
    return [
        {
            "worker": f"w{i % 6}",
            "prompt": f"day {i // 12 * 6 + i % 6}?",
            "completion": f"{'sun' if i // 6 % 2 else 'rain'} {i}",
            "label": bool(i // 6 % 2),
        }
        for i in range(n)
    ]


def test_kto_takes_judgements_that_are_no_pairs(parts, tmp_path):
    rows = [row | {"prompt": f"{row['prompt']}{row['completion'][:2]}"} for row in judgements()]
    task = {"objective": "kto", "baselines": ["single"]}
    setup = configuration(parts, tmp_path, "prefer", rows, task=task, crowd={"held_out": 0.25})
    learner, crowd = shared_learner(learner_spec(setup)), load_choices(setup)
    assert [Counter(item.right for item in part) for part in (crowd.selection, crowd.report)] == [{0: 6, 1: 6}] * 2
    given = learner._packed(
        TuneJob(learner.initial(4, 0), crowd.texts.examples[0], Key(4, 0, 1, 0), training_of(setup))
    )
    assert given.gains == tuple(float(e.response.startswith("sun")) for e in crowd.texts.examples[0])
    assert set(given.gains) == {0.0, 1.0}
    assert crowd.items_of(0)[0].right == 1 - given.gains[0]
    finished = run(setup, tmp_path / "judged")
    by_peft(finished)
    found = json.loads((finished.folder / "summary.json").read_text())["choices"]
    assert (found["floor"]["mean"], found["accuracy_before"]["mean"]) == (0.5, 0.5)
    assert found["log_likelihood_after"]["mean"] > found["log_likelihood_before"]["mean"]
    assert found["margin_after"]["mean"] > 0
    items = pd.read_parquet(finished.folder / "items.parquet")
    assert set(items["right"]) == {"good", "bad"}
    assert (items["response"].str.startswith("sun") == (items["right"] == "good")).all()
    assert (items["chosen_after"] == items["right"]).mean() == found["accuracy_after"]["mean"]
    turned = load_choices(setup.model_copy(update={"crowd": of_bad(setup, "flip")}))
    was, now = ([e.good for own in one.texts.examples for e in own] for one in (crowd, turned))
    assert now == [not good for good in was]
    assert load_choices(setup.model_copy(update={"crowd": of_bad(setup, "spam")})).texts != crowd.texts
    as_pairs = setup.model_copy(update={"task": setup.task.model_copy(update={"objective": "dpo"})})
    assert task_key(as_pairs) != task_key(setup)  # a sweep over objectives reads the same file in two ways


def of_bad(setup, behaviour):
    return setup.crowd.model_copy(update={"bad": BadConfig(behaviour=behaviour, share=1.0)})


def test_sft_before_kto_is_over_what_is_good(parts, tmp_path):
    setup = configuration(parts, tmp_path, "prefer", judgements(), task={"objective": "kto", "sft_epochs": 1})
    learner, own = shared_learner(learner_spec(setup)), load_choices(setup).texts.examples[0]
    job = TuneJob(learner.initial(4, 0), own, Key(4, 0, 1, 0), training_of(setup))
    assert learner._warmed(job).examples == tuple(e for e in own if e.good)
    assert learner._warmed(replace(job, examples=tuple(e for e in own if not e.good))) is None


def test_ratings_and_judgements_are_pairs_of_one_worker(parts, tmp_path):
    rated = [
        {"worker": w, "prompt": f"{w}?", "response": f"{w} {r}", "rating": n}
        for w in ("w0", "w1", "w2", "w3", "w4", "w5")
        for r, n in (("best", 5), ("good", 4.5), ("bad", 1), ("as bad", 1))
    ]
    task = {"objective": "sft"}
    crowd = load_choices(configuration(parts, tmp_path, "prefer", rated, task=task, crowd=FEW))
    made = [(item.prompt, *item.choices) for item in (*crowd.selection, *crowd.report)]
    made += [(e.prompt, e.response, e.rival) for own in crowd.texts.examples for e in own]
    expected = [("best", "good"), ("best", "bad"), ("best", "as bad"), ("good", "bad"), ("good", "as bad")]
    assert sorted(made) == sorted((f"w{i}?", f"w{i} {a}", f"w{i} {b}") for i in range(6) for a, b in expected)
    ((said),) = crowd.remarks
    assert "6 pairs of responses are alike" in said
    crowd = load_choices(configuration(parts, tmp_path, "prefer", judgements(), task={"objective": "dpo"}))
    assert all(e.response.startswith("sun") and e.rival.startswith("rain") for own in crowd.texts.examples for e in own)
    task = {"objective": "kto", "baselines": ["best_of_n"], "generation": {"temperature": 1.0}}
    with pytest.raises(InputError, match=r"^task\.baselines = .*: must ask no reward model .* with judgements"):
        load_choices(configuration(parts, tmp_path, "prefer", judgements(), task=task))
    task = {"objective": "sft"}
    unnamed = [{name: value for name, value in row.items() if name != "worker"} for row in rated]
    with pytest.raises(InputError, match=r"of one worker, that are rated differently; there are none; whose the rows"):
        load_choices(configuration(parts, tmp_path, "prefer", unnamed, task=task))
    both = configuration(parts, tmp_path, "prefer", rated, unnamed[:8], task=task, crowd={"n_workers": 4})
    assert len(load_choices(both).report) == 5  # trusted rows are one voice


FEW = {"n_workers": 2, "held_out": 1 / 3}


def test_splits_share_no_prompt_and_no_text(parts, tmp_path):
    rows = [
        {"worker": f"w{i % 6}", "prompt": f"p{i // 2}", "chosen": f"c{i // 3}", "rejected": f"r{i}"} for i in range(60)
    ]
    crowd = load_choices(configuration(parts, tmp_path, "prefer", rows))
    seen = {e.prompt for own in crowd.texts.examples for e in own}
    seen |= {text for own in crowd.texts.examples for e in own for text in (e.response, e.rival)}
    sides = [{t for item in part for t in (item.prompt, *item.choices)} for part in (crowd.selection, crowd.report)]
    assert seen.isdisjoint(sides[0] | sides[1])
    assert sides[0].isdisjoint(sides[1])
    assert all(sides)
    assert crowd.texts.n_workers == 6


def test_the_crowds_that_come_with_the_project():
    prefer, verify = (load_choices(load_config(name)) for name in ("llm_prefer", "llm_verify"))
    assert {len(own) for own in prefer.texts.examples} == {4}
    warm = {e.response for own in example_feedback("warm").examples[:4] for e in own}
    assert all(item.choices[0] in warm and item.choices[1] not in warm for item in (*prefer.selection, *prefer.report))
    sides = [
        [e.response in warm for own in part for e in own]
        for part in (prefer.texts.examples[:4], prefer.texts.examples[4:])
    ]
    assert (all(sides[0]), any(sides[1])) == (True, False)
    assert (len(verify.selection), len(verify.report), sum(map(len, verify.texts.examples))) == (16, 16, 32)


def test_of_the_crowd_of_classify_two_mislabel_and_most_are_right(parts):
    small = [f"task.model={parts / 'model'}", f"task.prompt_template={TEMPLATE}", "task.question='{text}'"]
    setup = load_config(
        "llm_classify", [*small, "task.rank=2", "tournament.rounds=1", "tournament.n_groups=2", "task.epochs=1"]
    )
    crowd = load_choices(setup)
    said = {row.said.item: {} for row in example_labels()}
    for row in example_labels():
        said[row.said.item][row.worker] = row.said.label
    assert {len(own) for own in said.values()} == {3}
    right = {text: Counter(own.values()).most_common(1)[0] for text, own in said.items()}
    assert min(n for _, n in right.values()) == 2
    assert Counter(label for label, _ in right.values()) == {"praise": 24, "complaint": 24}
    agree = {w: [own[w] == right[text][0] for text, own in said.items() if w in own] for w in crowd.texts.ids}
    assert {w: sum(own) / len(own) for w, own in agree.items() if not all(own)} == {"w7": 0.0, "w8": 0.5}
    assert (len(crowd.selection), len(crowd.report), crowd.remarks) == (12, 12, ())
    assert items_of(crowd).items() <= {text: label for text, (label, _) in right.items()}.items()
    (outcome,) = simulate([setup], load_task(setup), InProcess())
    assert labels_table(outcome)["items"].tolist() == [6, 6]


def sides_of(crowd):
    return [Counter(item.choices[item.right] for item in part) for part in (crowd.selection, crowd.report)]


def test_halves_have_equal_shares_of_each_label_in_whatever_order_rows_stand(parts, tmp_path):
    deals = set()
    for seed in range(4):
        setup = configuration(parts, tmp_path, "classify", alternating(), alternating(20, lambda i: "t"))
        crowd = load_choices(setup.model_copy(update={"seed": seed}))
        assert sides_of(crowd) == [Counter(x=5, y=5)] * 2
        deals.add(crowd.report)
        own = configuration(parts, tmp_path, "classify", alternating(), crowd={"held_out": 0.17})
        crowd = load_choices(own.model_copy(update={"seed": seed}))
        assert sides_of(crowd) == [Counter(x=3, y=3)] * 2
        assert crowd.texts.n_workers == 6
        assert crowd.remarks == ()
        deals.add(crowd.report)
    assert len(deals) == 8
    assert task_key(setup) != task_key(setup.model_copy(update={"seed": 9}))  # a sweep over seeds meets them all


def test_what_is_linked_stays_together_and_halves_are_even_all_the_same():
    sizes = [1, 1, 2, 3, 1, 5, 1, 4, 2, 2]
    numbers = [number for number, size in enumerate(sizes) for _ in range(size)]
    labels = ["ab"[i % 2] for i in range(len(numbers))]
    there = dealing.linked(numbers, labels, [f"w{i % 3}" for i in range(len(numbers))])
    where = dealing.halved(list(there), there, np.random.default_rng(1))
    assert set(where) == set(range(10))
    rows = Counter((where[number], label) for number, label in zip(numbers, labels, strict=True))
    assert max(rows.values()) - min(rows.values()) <= 1


def test_a_worker_keeps_something_where_another_can_give(parts, tmp_path):
    rows = alternating(40, lambda i: "few" if i < 2 else f"w{i % 5}")
    for seed in range(8):
        setup = configuration(parts, tmp_path, "classify", rows, crowd={"held_out": 0.35})
        assert "few" in load_choices(setup.model_copy(update={"seed": seed})).texts.ids


def test_items_of_one_label_are_refused_and_missing_ones_remarked(parts, tmp_path):
    for one in ({"target": [row for row in alternating(20) if row["label"] == "x"]}, {"trusted": alternating(8)[::2]}):
        field = "crowd.target" if "target" in one else "task.expert"
        setup = configuration(parts, tmp_path, "classify", alternating(), **one)
        with pytest.raises(InputError, match=rf"^{field} = .*at least two labels to the selection, there is 'x' alone"):
            load_choices(setup)
    third = {"worker": "t", "text": "another", "label": "z"}
    setup = configuration(parts, tmp_path, "classify", [*alternating(), third], target=[*alternating(20), third])
    with pytest.raises(InputError, match=r"^task|^crowd"):  # z is in the target alone, once all that is linked is out
        load_choices(setup.model_copy(update={"crowd": setup.crowd.model_copy(update={"n_workers": 7})}))
    more = [*alternating(), third | {"worker": "w0", "text": "one more"}]
    found = load_choices(configuration(parts, tmp_path, "classify", more, target=[*alternating(20), third]))
    ((said),) = found.remarks
    assert re.fullmatch(r"crowd\.target = .*: no item of the (selection|report) is called z", said)


def items_of(crowd):
    return {item.prompt.split("\n")[-1]: item.choices[item.right] for item in (*crowd.selection, *crowd.report)}


def said_by_three(n, says=lambda i: ("xy"[i % 2],) * 2 + ("yx"[i % 2],)):
    """What ada, bob and a liar call each of n texts."""
    who = ("ada", "bob", "liar")
    return [{"worker": w, "text": f"t{i}", "label": v} for i in range(n) for w, v in zip(who, says(i), strict=True)]


THREE = {"crowd": {"n_workers": 3}, "tournament": {"n_groups": 3}}


def test_a_text_is_one_item_and_right_is_what_most_call_it(parts, tmp_path):
    crowd = load_choices(configuration(parts, tmp_path, "classify", said_by_three(20), **THREE))
    assert (len(crowd.selection), len(crowd.report)) == (4, 4)  # a fifth of the texts each, not of their 60 labels
    assert sides_of(crowd) == [Counter(x=2, y=2)] * 2
    assert items_of(crowd) == {text: "xy"[int(text[1:]) % 2] for text in items_of(crowd)}
    assert crowd.remarks == ()
    assert [len(own) for own in crowd.texts.examples] == [12] * 3
    lies = {e.response != "xy"[int(e.prompt.split("t")[-1]) % 2] for e in crowd.texts.examples[2]}
    assert (crowd.texts.ids[2], lies) == ("liar", {True})  # what is trained on stays everyone's
    again = [row for row in said_by_three(20) if row["worker"] == "ada"]
    alone = load_choices(configuration(parts, tmp_path, "classify", again, crowd={"n_workers": 1}, tournament=ONE))
    assert (alone.selection, alone.report) == (crowd.selection, crowd.report)  # the liar changes neither


ONE = {"n_groups": 1}


def test_texts_that_workers_are_tied_on_are_no_items_and_counted(parts, tmp_path):
    rows = said_by_three(20, lambda i: ("x", "y", "z") if i < 4 else ("xy"[i % 2],) * 2 + ("z",))
    crowd = load_choices(configuration(parts, tmp_path, "classify", rows, **THREE | {"crowd": {"held_out": 0.25} | W3}))
    assert len(items_of(crowd)) == 8
    assert not {"t0", "t1", "t2", "t3"} & set(items_of(crowd))
    assert {e.prompt[-2:] for e in crowd.texts.examples[0]} >= {"t0", "t1", "t2", "t3"}  # everyone has said something
    ties, *missing = crowd.remarks
    assert ties == (
        "crowd.held_out = 0.25: workers are tied on 4 of 20 texts, which have no right answer and are no items"
    )
    assert all("is called z" in line for line in missing)
    tied = configuration(parts, tmp_path, "classify", said_by_three(20, lambda _: ("x", "y", "z")), **THREE)
    with pytest.raises(InputError, match=r"to the selection, there are 0: workers are tied on 20 of 20 texts, which"):
        load_choices(tied)
    for where in ("target", "trusted"):
        given = {where: [*alternating(12, lambda _: "t"), {"worker": "u", "text": "text 0", "label": "y"}]}
        crowd = load_choices(configuration(parts, tmp_path, "classify", said_by_three(20), **given, **THREE))
        assert len(crowd.selection if where == "trusted" else items_of(crowd)) == 11
        assert len(crowd.expert) == (11 if where == "trusted" else 0)
        field = "crowd.target" if where == "target" else "task.expert"
        assert [line.split(" = ")[0] for line in crowd.remarks] == [field]
        assert "tied on 1 of 12 texts" in crowd.remarks[0]


W3 = {"n_workers": 3}


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("prefer", lambda i, lies: {"a": f"s{i}", "b": f"r{i}", "winner": "ba"[lies]}),
        ("prefer", lambda i, lies: {"chosen": f"{'sr'[lies]}{i}", "rejected": f"{'rs'[lies]}{i}"}),
        ("verify", lambda i, lies: {"answer": f"{i}.0" if lies is None else f"{i + lies}"}),
    ],
)
def test_a_pair_or_a_prompt_of_several_workers_is_one_item(parts, tmp_path, kind, says):
    rows = []
    for i in range(20):
        for worker, lies in (("liar", True), ("ada", False), ("bob", False)):
            own = says(i, None if kind == "verify" and worker == "bob" else lies)
            if "winner" in own and worker == "bob":  # the same pair the other way round
                own = {"a": own["b"], "b": own["a"], "winner": "ba"["ab".index(own["winner"])]}
            rows.append({"worker": worker, "prompt": f"p{i}", **own})
    task = {"verifier": {"kind": "number"}} if kind == "verify" else {}
    crowd = load_choices(configuration(parts, tmp_path, kind, rows, task=task, **THREE))
    items = [*crowd.selection, *crowd.report]
    assert len(items) == len({item.prompt for item in items}) == 8
    right = {item.choices[item.right] for item in items}
    letter = "" if kind == "verify" else "r" if "winner" in rows[0] else "s"
    assert right == {letter + item.prompt[1:] for item in items}  # of numbers 4 and 4.0 are one
    assert [len(own) for own in crowd.texts.examples] == [12] * 3


def test_answers_are_the_same_where_the_verifier_finds_them_so():
    for kind, *same, other in (
        ("exact", "a  b", " a b", "ab"),
        ("number", "1,000", "1000.0", "1"),
        ("json", '{"a": 1, "b": [true]}', '{"b": [true], "a": 1.0}', '{"a": 1, "b": [1]}'),
        ("length", "5", "5-5", "5-8"),
        ("regex", "a", "a", "A"),
    ):
        one, two, third = (meaning_of(Rule(kind), answer) for answer in (*same, other))
        assert (one == two, one == third, len({one, two, third})) == (True, False, 2)


def test_who_has_nothing_left_and_what_goes_together_is_said(parts, tmp_path):
    rows = [{"worker": f"w{i}", "prompt": "same?", "answer": "a"} for i in range(3)]
    with pytest.raises(InputError, match=r"there are 0: rows that share a prompt.* go together, and 3 of them make 1"):
        load_choices(configuration(parts, tmp_path, "verify", rows, crowd={"n_workers": 3}))
    stock = [row | {"rejected": "I cannot say."} for row in pairs(60)]
    says = r"60 of them make 1 \('I cannot say\.' is in 60\)\. Name trusted records that share neither .* crowd\.target, or"
    with pytest.raises(InputError, match=says):
        load_choices(configuration(parts, tmp_path, "prefer", stock))
    trusted = [{"prompt": f"n{i}?", "chosen": f"yes {i}", "rejected": f"no {i}"} for i in range(6)]
    assert len(load_choices(configuration(parts, tmp_path, "prefer", stock, trusted)).report) == 3
    same = [row | {"rejected": "No."} for row in trusted]
    with pytest.raises(InputError, match=r"6 of them make 1 .*\. task\.expert may name others, for the selection"):
        load_choices(configuration(parts, tmp_path, "prefer", stock, same))
    other = [{"prompt": f"m{i}?", "chosen": f"aye {i}", "rejected": "Nay."} for i in range(4)]
    found = load_choices(configuration(parts, tmp_path, "prefer", stock, same, other))
    assert (len(found.selection), len(found.report)) == (4, 6)
    with pytest.raises(InputError, match=r"36 of them make 12\. A higher crowd\.held_out may do"):
        load_choices(configuration(parts, tmp_path, "classify", said_by_three(12), crowd={"held_out": 0.1} | W3))
    rows = [*answers(), {"worker": "late", "prompt": "day 1?", "answer": "h"}]
    trusted = [row | {"worker": "t"} for row in answers(6)]
    setup = configuration(parts, tmp_path, "verify", rows, target=trusted, crowd={"n_workers": 7})
    with pytest.raises(InputError, match=r"^crowd\.n_workers = 7: must be at most 6: all rows of 1 of .* 7 .*\(late\)"):
        load_choices(setup)


@pytest.mark.parametrize(
    ("kind", "row"),
    [
        ("classify", {"text": " text  0", "label": "y"}),
        ("classify", {"text": "text 0", "label": "x"}),
        ("prefer", {"prompt": "day 0?", "chosen": "rain 0", "rejected": "sun 0"}),
        ("verify", {"prompt": "day 0?", "answer": "9"}),
    ],
)
def test_a_worker_says_of_a_thing_one_thing(parts, tmp_path, kind, row):
    rows = [*(alternating() if kind == "classify" else ROWS[kind]()), {"worker": "w0"} | row]
    with pytest.raises(
        InputError, match=r"jsonl:37 = 'w0': is a worker who has judged the same before, at .*jsonl:1: which of"
    ):
        load_choices(configuration(parts, tmp_path, kind, rows))
    rows[-1]["worker"] = "w1"
    load_choices(configuration(parts, tmp_path, kind, rows))


@pytest.mark.parametrize(
    ("label", "says"),
    [
        (" x", "must not begin or end with a blank"),
        ("x\u200b", r"cannot be seen, U\+200B"),
        ("\u00a0x", "must not begin or end with a blank"),
        ("x\u200dy", "must hold labels that can be told apart"),
        ("x  y", "must hold labels that can be told apart"),
    ],
)
def test_labels_that_look_alike_are_refused(parts, tmp_path, label, says):
    rows = [
        *alternating(),
        *({"worker": "w0", "text": f"more {i}", "label": ("xy", "x y")[i]} for i in (0, 1)),
    ]
    rows.append({"worker": "w1", "text": "odd", "label": label})
    with pytest.raises(InputError, match=says):
        load_choices(configuration(parts, tmp_path, "classify", rows))
