"""What makes results the same on every kind of processor: nothing that decides on them is left to one's own choice of kernels.

`python -m experiments.bench.core_types` compares the bytes, on a machine that can run the kernels of several.
"""

import ast
from pathlib import Path

import pytest

import crowd_sim

FOLDER = Path(crowd_sim.__file__).parent
ELSEWHERE = ("models", "actors", "report", "cli")
"""Where results come from torch, or are shown only."""
NOT_YET = ("valuation/estimators/surrogate",)
CHOSEN = {"exp", "log", "log1p", "log2", "log10", "expm1", "power", "sin", "cos", "tan", "tanh", "arctan", "hypot"}
CHOSEN |= {
    "logaddexp",
    "logaddexp2",
    "dot",
    "vdot",
    "inner",
    "matmul",
    "tensordot",
    "einsum",
    "cov",
    "corrcoef",
    "polyfit",
    "linalg",
}


def sources():
    for path in sorted(FOLDER.rglob("*.py")):
        name = path.relative_to(FOLDER).as_posix()
        if not name.startswith(ELSEWHERE):
            yield name, path


def harmless(power):
    """A power of a number that stands there, as 2, or a square: numpy multiplies."""
    return isinstance(power.left, ast.Constant) or (isinstance(power.right, ast.Constant) and power.right.value == 2)


@pytest.mark.parametrize(("name", "path"), [pytest.param(*each, id=each[0]) for each in sources()])
def test_nothing_is_left_to_kernels_that_the_processor_chooses(name, path):
    found = []
    text = path.read_text(encoding="utf-8")
    lines = text.splitlines()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.BinOp | ast.AugAssign) and isinstance(node.op, ast.MatMult):
            found.append((node.lineno, "@"))
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow) and not harmless(node):
            found.append((node.lineno, "**"))
        if isinstance(node, ast.Attribute) and node.attr in CHOSEN and ast.unparse(node.value) in {"np", "scipy"}:
            found.append((node.lineno, ast.unparse(node)))
    # whole numbers are summed and multiplied exactly in any order
    found = [each for each in found if not lines[each[0] - 1].endswith("# of whole numbers")]
    assert not found, "see crowd_sim.linear_algebra and crowd_sim.elementary"
