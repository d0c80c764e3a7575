"""The failure policy by scripts of failures, without Ray."""

import subprocess
import sys

import numpy as np
import pytest

from crowd_sim.actors.failure import Decision, Failure, Past, budget_spent, decide
from crowd_sim.config import FailureConfig

BUG, DEATH, NODE, MEMORY, HANG = Failure
RAISE, RETRY, SPLIT, QUARANTINE, GIVE_UP = Decision


def decisions(script, limits, **work):
    """What is decided about each failure in turn; the first that is not a retry is the last."""
    past = Past()
    for failure in script:
        yield decide(failure, past, limits, **work)
        past = past.after(failure, work.get("suspect", True))


@pytest.mark.parametrize(
    ("limits", "suspect", "script", "expected"),
    [
        ({}, True, [BUG], [RAISE]),
        ({}, True, [DEATH, BUG], [RETRY, RAISE]),
        # work that may be to blame twice, however its actor failed
        ({}, True, [DEATH, DEATH], [RETRY, QUARANTINE]),
        ({}, True, [HANG, HANG], [RETRY, QUARANTINE]),
        ({}, True, [DEATH, MEMORY], [RETRY, QUARANTINE]),
        ({}, True, [MEMORY, HANG], [RETRY, QUARANTINE]),
        # nodes are no work's fault, and have a budget of their own
        ({}, True, [NODE] * 6, [RETRY] * 5 + [GIVE_UP]),
        ({}, True, [NODE, DEATH, NODE, DEATH], [RETRY, RETRY, RETRY, QUARANTINE]),
        ({"nodes": 0}, True, [NODE], [GIVE_UP]),
        # nobody to blame: each kind has its budget
        ({}, False, [DEATH] * 4, [RETRY] * 3 + [GIVE_UP]),
        ({}, False, [MEMORY] * 3, [RETRY] * 2 + [GIVE_UP]),
        ({}, False, [HANG] * 2, [RETRY, GIVE_UP]),
        ({}, False, [DEATH, MEMORY, HANG, DEATH, NODE, MEMORY, DEATH, DEATH], [RETRY] * 7 + [GIVE_UP]),
        ({"deaths": 0}, False, [DEATH], [GIVE_UP]),
        # a budget that is smaller than what work may be to blame for
        ({"hangs": 0}, True, [HANG], [GIVE_UP]),
        ({"hangs": 0}, True, [DEATH, HANG], [RETRY, QUARANTINE]),
    ],
)
def test_an_actors_failures(limits, suspect, script, expected):
    assert list(decisions(script, FailureConfig(**limits), suspect=suspect)) == expected


@pytest.mark.parametrize(
    ("limits", "script", "expected"),
    [
        ({}, [BUG], [RAISE]),
        ({}, [DEATH, DEATH], [RETRY, SPLIT]),
        ({}, [MEMORY, DEATH], [RETRY, SPLIT]),
        ({}, [HANG], [SPLIT]),  # its halves may just need less time
        ({"hangs": 9}, [HANG], [SPLIT]),
        ({"memory": 0}, [MEMORY], [SPLIT]),
        ({}, [NODE] * 6, [RETRY] * 5 + [GIVE_UP]),
        ({"nodes": 10}, [NODE] * 11, [RETRY] * 10 + [GIVE_UP]),
        ({}, [NODE, DEATH, NODE, DEATH], [RETRY, RETRY, RETRY, SPLIT]),
    ],
)
def test_a_batchs_failures(limits, script, expected):
    assert list(decisions(script, FailureConfig(**limits), divisible=True)) == expected


@pytest.mark.parametrize("suspect", [True, False])
def test_an_actor_that_answers_begins_anew(suspect):
    script, past = [DEATH, NODE, MEMORY], Past()
    for _ in range(20):
        for failure in script[: 1 + (not suspect)]:
            assert decide(failure, past, FailureConfig(), suspect=suspect) is RETRY
            past = past.after(failure, suspect)
        past = Past()


def played(n_points, faults):
    """A sweep of one batch without Ray: `faults(points)` says how a batch fails, or None; the sequence, and who is named."""
    batches, said, named = [(np.arange(n_points), Past())], [], []
    while batches:
        points, past = batches.pop(0)
        failure = faults(points)
        if failure is None:
            continue
        decision = decide(failure, past, FailureConfig(), divisible=len(points) > 1)
        said.append((len(points), decision))
        past = past.after(failure)
        if decision is RETRY:
            batches.append((points, past))
        elif decision is SPLIT:
            batches += [(half, past.of_half(len(half) > 1)) for half in np.array_split(points, 2)]
        elif decision is QUARANTINE:
            named += points.tolist()
        else:
            said.append("over")
            break
    return said, named


def test_a_point_that_kills_is_found_by_halving():
    said, named = played(8, lambda points: DEATH if 5 in points else None)
    # only the whole runs a second time, and the point: a half answers for one of its batch's two deaths
    assert said == [(8, RETRY), (8, SPLIT), (4, SPLIT), (2, SPLIT), (1, RETRY), (1, QUARANTINE)]
    assert named == [5]


def test_a_point_that_hangs_is_found_by_halving_at_once():
    said, named = played(8, lambda points: HANG if 5 in points else None)
    assert said == [(8, SPLIT), (4, SPLIT), (2, SPLIT), (1, RETRY), (1, QUARANTINE)]
    assert named == [5]


def test_a_point_is_named_for_its_own_failures_alone():
    once = iter([DEATH, DEATH, DEATH])  # the batch twice, and one of the points once
    said, named = played(2, lambda points: next(once, None))
    assert said == [(2, RETRY), (2, SPLIT), (1, RETRY)]
    assert named == []


def test_halves_remember_the_nodes_that_were_lost():
    script = iter([NODE, NODE, NODE, HANG] + [NODE] * 9)
    said, _ = played(4, lambda points: next(script))
    assert [decision for _, decision in said[:-1]].count(RETRY) == 3 + 4  # five for each half, of which three are spent
    assert said[-2:] == [(2, GIVE_UP), "over"]


def test_a_message_names_the_budget():
    said = str(budget_spent("trainer 3", NODE, FailureConfig(nodes=2), "\n  the node died\nand more"))
    allowed = "more than allowed by actors.failures.nodes = 2 (the node died)"
    assert said == f"trainer 3 lost its node 3 times without an answer in between, {allowed}"
    said = str(budget_spent("trainer 3", HANG, FailureConfig(deadline=5), "no answer for 6 s"))
    assert said.startswith("trainer 3 missed its deadline of 5 s (actors.failures.deadline) 2 times without")


def test_the_policy_needs_no_ray():
    code = "import sys; sys.modules['ray'] = None; import crowd_sim.actors.failure"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
