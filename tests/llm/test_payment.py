"""Payment of workers who contribute texts."""

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from crowd_sim.cli.run import run as run_command
from crowd_sim.errors import InputError
from tests.bad_input.command import IN_PROCESS
from tests.invariance.hosts import stopping
from tests.llm.small import config


def paying(parts, rule, method="exact", **payment):
    return config(
        parts,
        crowd={"n_workers": 3, "selection": "first"},
        valuation={"method": method},
        tournament={"drop_used": False, "rounds": 1},
        payment={"rule": rule, **payment},
    )


@pytest.mark.parametrize("rule", ["rank", "banzhaf", "least_core"])
def test_texts_are_paid_for_and_a_stopped_run_pays_the_same(parts, tmp_path, rule):
    setup, folder = paying(parts, rule, budget=3.0), tmp_path / "run"
    first = run_command(setup, "small", folder, IN_PROCESS[1], Console(quiet=True)).outcome
    assert first.pay.sum() + first.metrics["pay_unpaid"][0] == 3.0
    assert (first.pay >= 0).all()
    *states, again = stopping(setup, 3)
    assert "values" in states[-1]
    assert again.pay.tobytes() == first.pay.tobytes()
    np.testing.assert_array_equal(pd.read_parquet(folder / "workers.parquet")["pay"], first.pay.ravel())
    assert '"pay_jain"' in (folder / "summary.json").read_text()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"rule": "gold", "method": "permutation"}, "payment.rule = 'gold': needs all coalitions"),
        ({"rule": "points", "identities": "merge"}, "payment.identities = 'merge': must be left out"),
    ],
)
def test_what_texts_cannot_be_paid_by(parts, arguments, says):
    with pytest.raises(InputError, match=says):
        paying(parts, **arguments)
