from pathlib import Path

import pytest

from tests.llm.small import make_parts


@pytest.fixture(scope="session")
def parts(tmp_path_factory) -> Path:
    """The folder of `tests.llm.small`."""
    pytest.importorskip("torch", reason="needs the extra llm")
    pytest.importorskip("peft", reason="needs the extra llm")
    return make_parts(tmp_path_factory.mktemp("small"))
