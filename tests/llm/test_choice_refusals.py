"""What makes no sense of crowds who label, prefer and answer is refused in a line."""

import pytest

from crowd_sim.errors import InputError
from crowd_sim.tasks.choose.crowd import load_choices
from tests.llm.choosing import PEERS, alternating, configuration, expert, labels


@pytest.mark.parametrize(
    ("kind", "changes", "says"),
    [
        (
            "verify",
            {"task": {"quantization": "nf4", "engine": "vllm"}},
            r"^task\.quantization = 'nf4': must be none with task\.engine=vllm",
        ),
        ("classify", {"screens": {"action": "report"}}, r"^task\.expert: must be given with screens"),
        ("prefer", {"screens": {"use": ["peers", "expert"]}}, r"^task\.expert: must be given with screens"),
        (
            "prefer",
            {"crowd": {"n_workers": 1}, "tournament": {"n_groups": 1}, **PEERS},
            r"^screens\.use = 'peers': must be left out with crowd\.n_work",
        ),
        ("classify", {"trusted": expert(), **PEERS}, r"^screens\.use = 'peers': must be among expert with"),
        ("prefer", {"task": {"kl": 0.1}}, r"^task\.kl = 0\.1: must be left out without task\.baselines=rloo"),
        ("verify", {"task": {"kl": 0.1, "objective": "grpo"}}, r"^task\.kl = 0\.1: must be left out without task\.obj"),
        (
            "prefer",
            {"actors": {"generators": {"number": 1}}},
            r"^actors\.generators\.number = 1: must be 0 with task\.kind",
        ),
        (
            "classify",
            {"screens": {"action": "merge"}, "trusted": expert()},
            r"^screens\.action = 'merge': must be report",
        ),
        ("classify", {"task": {"baselines": ["expert"]}}, r"^task\.expert: must be given with task\.baselines=expert"),
        ("classify", {"task": {"question": "which?"}}, r"^task\.question = 'which\?': must contain \{text\} once"),
        ("classify", {"tournament": {"weight_power": 3}}, r"^tournament\.weight_power = 3: must be left out with"),
        ("classify", {"trusted": expert(1)}, r"^task\.expert = .*: must leave at least 2 items to the selection"),
        ("classify", {"crowd": {"held_out": 0.0}}, r"^crowd\.target: must be given, a file of trusted records"),
        (
            "classify",
            {"crowd": {"held_out": 0.5}},
            r"^crowd\.held_out = 0\.5: must be below 0\.5 without task\.expert",
        ),
        (
            "classify",
            {"task": {"question": "{text} {foo}"}},
            r"^task\.question = .*no other placeholder than \{text\} and \{labels\}, it has \{foo\}",
        ),
        (
            "classify",
            {"task": {"prompt_template": "{prompt} {foo}"}},
            r"^task\.prompt_template = .*no other placeholder than \{prompt\}, it has \{foo\}",
        ),
        ("classify", {"task": {"baselines": ["single", "single"]}}, r"^task\.baselines = .*must not list a baseline"),
        (
            "classify",
            {"screens": {"use": ["expert", "expert"]}, "trusted": expert()},
            r"^screens\.use = .*must not list a screen twice",
        ),
        (
            "prefer",
            {"tournament": {"search": "halving", "n_groups": 3, "exploit_every": 1}},
            r"^tournament\.search = 'halving': must be best with tournament\.exploit_every=1",
        ),
        ("classify", {"crowd": {"held_out": 0.01}}, r"^crowd\.held_out = 0\.01: must leave at least 2 items"),
        (
            "classify",
            {"task": {"objective": "dpo"}},
            r"^task\.objective = 'dpo': must be left out with task\.kind=classify, .* sets it: task\.objective=sft$",
        ),
        (
            "prefer",
            {"task": {"row_tokens": 100}},
            r"^task\.row_tokens = 100: must be at least twice task\.max_tokens, 180",
        ),
        (
            "prefer",
            {"task": {"objective": "ipo", "label_smoothing": 0.1}},
            r"^task\.label_smoothing = 0\.1: must be left out",
        ),
        ("prefer", {"task": {"objective": "orpo", "sft_weight": 0.1}}, r"^task\.sft_weight = 0\.1: must be left out"),
        ("prefer", {"task": {"objective": "sft", "sft_epochs": 1}}, r"^task\.sft_epochs = 1: must be left out with"),
        (
            "prefer",
            {"task": {"sft_epochs": 1}, "tournament": {"search": "halving", "n_groups": 3}},
            r"^task\.sft_epochs = 1: must be left out with tournament\.search=halving",
        ),
        ("prefer", {"tournament": {"score": "l1"}}, r"^tournament\.score = 'l1': must be left out"),
        (
            "prefer",
            {"task": {"objective": "rloo"}},
            r"^task\.objective = 'rloo': must be one of sft, dpo, ipo, orpo, kto with",
        ),
        (
            "prefer",
            {"task": {"verifier": {"kind": "json"}}},
            r"^task\.verifier = .*: must be left out with task\.kind=prefer",
        ),
        (
            "verify",
            {"task": {"baselines": ["rloo"]}},
            r"^task\.baselines = \['rloo'\]: must be among expert, single with task\.kind=verify",
        ),
        (
            "prefer",
            {"task": {"baselines": ["rloo"], "verifier": {"pattern": "a"}}},
            r"^task\.verifier\.pattern = 'a': must be left out",
        ),
        (
            "prefer",
            {"task": {"baselines": ["best_of_n"], "generation": {"temperature": 0}}},
            r"^task\.generation\.temperature = 0\.0: must be above 0 with task\.baselines=best_of_n or rloo",
        ),
        ("verify", {"task": {"verifier": {"kind": "regex"}}}, r"^task\.verifier\.pattern: must be given with"),
        (
            "verify",
            {"task": {"verifier": {"pattern": "("}}},
            r"^task\.verifier\.pattern = '\(': must be a regular expression",
        ),
        ("verify", {"task": {"verifier": {"kind": "number"}}}, r"verify\.jsonl.*answer must be a number"),
        (
            "verify",
            {"task": {"verifier": {"kind": "sums"}}},
            r"^task\.verifier\.kind = 'sums': must be one of exact, number",
        ),
        (
            "verify",
            {"task": {"generation": {"temperature": 0}}},
            r"^task\.generation\.temperature = 0\.0: must be above 0",
        ),
        (
            "verify",
            {"task": {"generation": {"report_outputs": 9}}},
            r"^task\.generation\.report_outputs = 9: must be left",
        ),
        ("verify", {"task": {"row_tokens": 92}}, r"max_new_tokens together, 94"),
        ("verify", {"screens": {"action": "report"}}, r"^screens\.action = 'report': must be left out"),
        (
            "verify",
            {"tournament": {"search": "halving"}},
            r"^tournament\.search = 'halving': must be one of best, merge",
        ),
    ],
)
def test_what_makes_no_sense_is_refused(parts, tmp_path, kind, changes, says):
    with pytest.raises(InputError, match=says):
        load_choices(configuration(parts, tmp_path, kind, **changes))


def test_records_of_another_kind_are_refused(parts, tmp_path):
    with pytest.raises(InputError, match=r"must hold pairs, ratings or judgements with task\.kind=prefer, not labels"):
        load_choices(configuration(parts, tmp_path, "prefer", labels()))
    one = [row | {"label": "wet"} for row in labels()]
    with pytest.raises(InputError, match="must hold at least two labels, there is 'wet' alone"):
        load_choices(configuration(parts, tmp_path, "classify", one))


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
