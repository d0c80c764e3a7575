"""Labels: of whom, whether they are right, and experts who judge them."""

from collections import Counter

import numpy as np
import pytest

from crowd_sim import load_config
from crowd_sim.crowd.screens import LABEL_SCREENS, screened
from crowd_sim.crowd.sources.feedback import example_labels
from crowd_sim.crowd.texts import Item
from crowd_sim.engine import simulate
from crowd_sim.errors import InputError
from crowd_sim.host import InProcess
from crowd_sim.participants import roles
from crowd_sim.tasks.choose.crowd import load_choices
from crowd_sim.tasks.choose.learner import accuracy, calibration_error
from crowd_sim.tasks.choose.tables import labels_table
from crowd_sim.tasks.load import load_task, task_key
from tests.learners.tiny_llm import TEMPLATE
from tests.llm.choosing import FULL, WEATHER, alternating, configuration, expert, items_of, labels


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


def test_trusted_records_judge_and_are_not_trained_on(parts, tmp_path):
    trusted = [{"worker": "t", "text": f"{WEATHER[i]} {i}", "label": "wet" if i < 3 else "dry"} for i in range(6)]
    crowd = load_choices(configuration(parts, tmp_path, "classify", target=trusted))
    assert len(crowd.selection) == len(crowd.report) == 3
    assert sum(map(len, crowd.texts.examples)) == 30  # without the six that are trusted
    assert crowd.texts.examples[0][0].prompt.startswith("Label this text as one of: dry, wet.\n\nrain")
    assert crowd.report[0].choices == ("dry", "wet")
    assert b"".join(crowd.identity()) != b"".join(crowd.texts.identity())


def test_an_expert_scores_and_screens_and_everything_else_is_for_the_report(parts, tmp_path):
    shared = [{"worker": "w0", "text": f"{WEATHER[0]} and 0", "label": "dry"}]
    crowd = load_choices(configuration(parts, tmp_path, "classify", [*labels(), *shared], trusted=expert(), **FULL))
    assert [item.prompt for item in crowd.selection] == [f"{row['text']}: dry, wet?" for row in expert()]
    assert len(crowd.report) == 7
    assert len(crowd.expert) == 6
    assert sum(map(len, crowd.texts.examples)) == 36 - 7  # without what the expert's record and the items share
    assert [item.choices[item.right] for item in crowd.items_of(2)] == [e.response for e in crowd.texts.examples[2]]


def test_workers_whom_the_expert_contradicts_are_flagged():
    likely = [[0.9, 0.7], [0.8, 0.6], [0.6], [0.1, 0.2], []]
    found = screened(LABEL_SCREENS, [np.array(own) for own in likely])
    assert found.scores["expert"].tolist() == pytest.approx([0.2, 0.3, 0.4, 0.85, 0.0])
    assert found.flagged.tolist() == [False, False, False, True, False]
    assert not screened(LABEL_SCREENS, [np.array([0.1])] * 5).flagged.any()  # what all do is the expert's fault


def test_bad_workers_mislabel_what_is_trained_on_and_nothing_that_judges(parts, tmp_path):
    bad = {"bad": {"behaviour": "flip", "share": 1 / 3}}
    honest = load_choices(configuration(parts, tmp_path, "classify"))
    setup = configuration(parts, tmp_path, "classify", crowd=bad)
    found = load_choices(setup)
    assert (found.selection, found.report) == (honest.selection, honest.report)
    is_bad = roles([setup]).bad[0].tolist()
    assert sum(is_bad) == 2
    for own, was, wrong in zip(found.texts.examples, honest.texts.examples, is_bad, strict=True):
        assert {a.response == b.response for a, b in zip(own, was, strict=True)} == {not wrong}
    assert task_key(setup) != task_key(configuration(parts, tmp_path, "classify"))


def test_accuracy_and_calibration_halve_ties():
    items = [Item("p", ("a", "b"), right) for right in (0, 1, 1, 0)]
    told = np.array([[0.5, 0.5], [0.2, 0.8], [0.8, 0.2], [0.8, 0.2]])
    assert accuracy(told, items) == (0.5 + 1 + 0 + 1) / 4
    assert calibration_error(told, items) == pytest.approx((abs(0.5 - 0.5) + abs(2.4 - 2)) / 4)


def test_what_is_wrong_with_the_expert_s_file_is_said_of_its_field(parts, tmp_path):
    def trusting(path):
        setup = configuration(parts, tmp_path, "classify", alternating(40))
        return setup.model_copy(update={"task": setup.task.model_copy(update={"expert": str(path)})})

    with pytest.raises(InputError, match=r"^task\.expert = .*nofile.*: must be a file that exists"):
        load_choices(trusting(tmp_path / "nofile.jsonl"))
    with pytest.raises(
        InputError, match=r"^task\.expert = .*: must hold texts of its own: all of the crowd's are among"
    ):
        load_choices(trusting(tmp_path / "classify.jsonl"))
