"""Gives damaged and odd inputs to whatever reads what people bring: no traceback, no hang, no silent change.

`python -m experiments.bench.fuzz_inputs --inputs 50000 --seed 0`

Each input is a whole one, of `corpus`, changed in up to eight places by hypothesis, or a table written in some layout.
What is read must be finite and of unique names; what is not is refused in one line of at most 300 characters.
"""

from __future__ import annotations

import argparse
import gzip
import io
import json
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as seeded
from hypothesis import strategies as st

from crowd_sim.config import RunConfig
from crowd_sim.config.io import load_content
from crowd_sim.crowd.population import Population
from crowd_sim.crowd.sources.feedback import read_feedback
from crowd_sim.crowd.sources.movielens import load_movielens
from crowd_sim.crowd.sources.ratings import load_ratings
from crowd_sim.crowd.sources.vectors import load_vectors
from crowd_sim.errors import InputError

_TABLE = pd.DataFrame({"worker": ["anna", "Zoë", "007"], "x": [0.5, -1.25, 1000.5], "y": [2.0, 3.0, 4.0]})
_RATINGS = pd.DataFrame({"worker": ["a", "a", "b"], "item": ["i", "j", "i"], "rating": [1.0, 2.5, 4.0]})
_CONFIG = "seed: 3\nruns: 2\ncrowd: {n_workers: 6}\ntournament: {rounds: 3, score: dot}\nvaluation: {budget: 1e4}\n"
_FEEDBACK = [{"worker": f"w{i}", "prompt": "why?", "response": f"so {i}"} for i in range(3)]
_TOKENS = (
    *(
        b",",
        b";",
        b"\t",
        b'"',
        b"\n",
        b"\r",
        b"\0",
        b"nan",
        b"-inf",
        b"1e999",
        b"1,5",
        b"\xff",
        b"[",
        b"{",
        b"}",
        b":",
        b"null",
    ),
    *(
        b"true",
        b"${a}",
        b"&a",
        b"*a",
        b"!!python/object:os.system",
        b"\xe2\x80\xae",
        b"\x1b[31m",
        b"$x^2$",
        b"9" * 400,
        b"[" * 900,
    ),
)


def corpus() -> dict[str, bytes]:
    """Whole inputs, by file name."""
    table, ratings = _TABLE.to_csv(index=False), _RATINGS.to_csv(index=False)
    array, packed, rated = io.BytesIO(), io.BytesIO(), io.BytesIO()
    np.save(array, _TABLE[["x", "y"]].to_numpy())
    _TABLE.assign(e=pd.Series([[1.0, 2.0]] * 3)).to_parquet(packed)
    _RATINGS.to_parquet(rated)
    lines = "".join(json.dumps(line) + "\n" for line in _FEEDBACK)
    feedback = io.BytesIO()
    pd.DataFrame(_FEEDBACK).to_parquet(feedback)
    return {
        "v.csv": table.encode(),
        "v.tsv": table.replace(",", "\t").encode(),
        "v.csv.gz": gzip.compress(table.encode(), mtime=0),
        "v.json": _TABLE.to_json(orient="records").encode(),
        "v.jsonl": _TABLE.to_json(orient="records", lines=True).encode(),
        "v.npy": array.getvalue(),
        "v.parquet": packed.getvalue(),
        "r.csv": ratings.encode(),
        "r.parquet": rated.getvalue(),
        "f.jsonl": lines.encode(),
        "f.parquet": feedback.getvalue(),
        "ratings.csv": b"userId,movieId,rating\n1,1,4\n2,1,3\n2,2,5\n",
        "ratings.dat": b"1::1::4::9\n2::1::3::9\n2::2::5::9\n",
        "u.data": b"1\t1\t4\t9\n2\t1\t3\t9\n2\t2\t5\t9\n",
        "c.yaml": _CONFIG.encode(),
    }


_BESIDE = {
    "ratings.csv": {"movies.csv": b"movieId,title,genres\n1,A,Drama\n2,B,Comedy\n"},
    "ratings.dat": {"movies.dat": b"1::A::Drama\n2::B::Comedy\n"},
    "u.data": {"u.genre": b"Drama|0\nComedy|1\n", "u.item": b"1|A|||http|1|0\n2|B|||http|0|1\n"},
    "f.jsonl": {"t.txt": b"a target\n"},
    "f.parquet": {"t.txt": b"a target\n"},
}

mutations = st.lists(
    st.tuples(
        st.sampled_from(["flip", "cut", "insert", "repeat", "token"]),
        st.floats(0, 1, exclude_max=True),
        st.integers(0, 255),
    ),
    min_size=1,
    max_size=8,
)


def mutated(content: bytes, changes: list[tuple[str, float, int]]) -> bytes:
    """The content, changed at places that are fractions of its length."""
    for kind, where, number in changes:
        at = int(where * (len(content) + 1))
        if kind == "flip" and at < len(content):
            content = content[:at] + bytes([content[at] ^ (1 << number % 8)]) + content[at + 1 :]
        elif kind == "cut":
            content = content[:at] + content[at + number % 16 :]
        elif kind == "insert":
            content = content[:at] + bytes([number]) + content[at:]
        elif kind == "repeat":
            content = content[:at] + content[max(0, at - number) :]
        elif kind == "token":
            content = content[:at] + _TOKENS[number % len(_TOKENS)] + content[at:]
    return content


def outcome(folder: Path, name: str, content: bytes) -> str:
    """Read a file of this name and content; `read` or `refused`.

    Raises:
        AssertionError: it was taken for something that no crowd may be, or refused in more than a line.
    """
    for other, text in _BESIDE.get(name, {}).items():
        (folder / other).write_bytes(text)
    path = folder / name
    path.write_bytes(content)
    try:
        found = _READERS[name](path)
    except InputError as error:
        said = str(error)
        assert len(said) <= 300, said  # noqa: S101
        assert said.splitlines() == [said], said  # noqa: S101
        return "refused"
    finally:
        path.unlink()
    if isinstance(found, Population):
        assert np.isfinite(found.vectors).all()  # noqa: S101
        assert len(set(found.ids)) == found.n_workers  # noqa: S101
        assert all(isinstance(name, str) and name.strip() for name in found.ids)  # noqa: S101
    return "read"


def _configuration(path: Path) -> object:
    return RunConfig.parse(load_content(path))


_READERS: dict[str, Callable[[Path], Any]] = {
    **{name: load_vectors for name in corpus() if name.startswith("v.")},
    **{name: load_ratings for name in corpus() if name.startswith("r.")},
    **{name: lambda path: read_feedback(path, path.with_name("t.txt")) for name in ("f.jsonl", "f.parquet")},
    **{name: lambda path: load_movielens(path.parent) for name in ("ratings.csv", "ratings.dat", "u.data")},
    "c.yaml": _configuration,
}

names = st.text(
    st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"], exclude_characters='",;\t|'), min_size=1, max_size=8
)
numbers = st.floats(-1e6, 1e6, allow_nan=False).map(lambda number: round(number, 4))


@st.composite
def tables(draw: st.DrawFn) -> tuple[list[str], list[list[float]], str, str]:
    """Names of workers, their vectors, a separator and a decimal mark."""
    ids = draw(st.lists(names.filter(lambda name: bool(name.strip())), min_size=1, max_size=5, unique=True))
    d = draw(st.integers(1, 4))
    rows = [[draw(numbers) for _ in range(d)] for _ in ids]
    separator = draw(st.sampled_from([",", ";", "\t"]))
    return ids, rows, separator, draw(st.sampled_from([".", ","])) if separator != "," else "."


def check_table(folder: Path, table: tuple[list[str], list[list[float]], str, str]) -> str:
    """Write a table and read it: it is the same, or refused.

    Raises:
        AssertionError: it is read as another.
    """
    ids, rows, separator, decimal = table
    head = ["worker", *(f"feature {i}" for i in range(len(rows[0])))]
    cells = [
        [name, *(repr(number).replace(".", decimal) for number in row)] for name, row in zip(ids, rows, strict=True)
    ]
    path = folder / "table.csv"
    path.write_text("".join(separator.join(line) + "\n" for line in [head, *cells]), encoding="utf-8")
    try:
        found = load_vectors(path)
    except InputError:
        return "refused"
    assert found.ids == tuple(ids)  # noqa: S101
    np.testing.assert_array_equal(found.vectors, rows)
    return "read"


def fuzz(inputs: int, seed: int) -> Counter[str]:
    """So many inputs, half of every kind of change; how many were read and refused.

    Raises:
        Exception: whatever a reader raised that is no refusal, with the input that hypothesis has made small.
    """
    found: Counter[str] = Counter()
    whole = corpus()
    how = settings(
        max_examples=max(1, inputs // 2),
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate, Phase.shrink],
    )
    with tempfile.TemporaryDirectory() as temporary, warnings.catch_warnings():
        warnings.simplefilter("error")
        folder = Path(temporary)

        @seeded(seed)
        @how
        @given(st.sampled_from(sorted(whole)), mutations)
        def damaged(name: str, changes: list[tuple[str, float, int]]) -> None:
            own = folder / name.replace(".", "-")
            own.mkdir(exist_ok=True)
            found[outcome(own, name, mutated(whole[name], changes))] += 1

        @seeded(seed)
        @how
        @given(tables())
        def written(table: tuple[list[str], list[list[float]], str, str]) -> None:
            found[f"table {check_table(folder, table)}"] += 1

        damaged()
        written()
    return found


def main() -> None:
    """Fuzz, and say what became of the inputs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=2_000)
    parser.add_argument("--seed", type=int, default=0)
    given_ = parser.parse_args()
    found = fuzz(given_.inputs, given_.seed)
    print(f"{sum(found.values()):,} inputs:", ", ".join(f"{count:,} {what}" for what, count in sorted(found.items())))


if __name__ == "__main__":
    main()
