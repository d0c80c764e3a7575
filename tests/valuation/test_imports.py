import ast
from pathlib import Path

import crowd_sim.valuation

ALLOWED = (
    "crowd_sim.arrays",
    "crowd_sim.elementary",
    "crowd_sim.linear_algebra",
    "crowd_sim.random",
    "crowd_sim.scores",
    "crowd_sim.errors",
    "crowd_sim.progress",
    "crowd_sim.valuation",
)


def test_the_valuation_knows_only_what_stands_below_it():
    files = sorted(Path(crowd_sim.valuation.__file__).parent.rglob("*.py"))
    assert files
    for file in files:
        for node in ast.walk(ast.parse(file.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [f"{node.module}.{alias.name}" for alias in node.names]
            for name in names:
                assert name.split(".")[0] not in ("actors", "experiments", "ray", "torch"), (file, name)
                assert not name.startswith("crowd_sim") or name.startswith(ALLOWED), (file, name)
