import pytest

from experiments.bench.fuzz_inputs import corpus, fuzz, outcome


@pytest.mark.parametrize("name", corpus())
def test_what_the_fuzzer_begins_with_is_read(tmp_path, name):
    assert outcome(tmp_path, name, corpus()[name]) == "read"


def test_damaged_inputs_are_read_or_refused():
    """A few of those that `python -m experiments.bench.fuzz_inputs --inputs 50000` gives."""
    found = fuzz(600, 1)
    assert found["refused"] > 50
    assert found["table read"] > 50
