"""Near-duplicates among texts by the Jaccard similarity of their shingles. Source: Broder, "On the resemblance and containment
of documents" (SEQUENCES 1997).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from crowd_sim.errors import InputError

LENGTH = 5
"""Characters of a shingle."""

SIMILAR = 0.5
"""Two texts are near-duplicates from this Jaccard similarity on."""

MOST_EXACT = 4_000
"""Texts of which all pairs are compared; of more only those that MinHash (the package datasketch) finds alike."""

_BLOCK = 512


def shingles(text: str) -> frozenset[str]:
    """All runs of `LENGTH` characters of a text in lower case with single spaces; of a shorter one the text itself."""
    plain = " ".join(text.casefold().split())
    return frozenset(plain[i : i + LENGTH] for i in range(max(1, len(plain) - LENGTH + 1)))


def jaccard(a: frozenset[str], b: frozenset[str]) -> float:
    """|a ∩ b| / |a ∪ b|; sets of shingles are never empty."""
    both = len(a & b)
    return both / (len(a) + len(b) - both)


def near_duplicates(texts: Sequence[str], most_exact: int = MOST_EXACT) -> NDArray[np.int64]:
    """int64[p, 2]: places of all near-duplicates, first < second, in order.

    Above `most_exact` texts one pair in eight of similarity 0.5 is missed, one in a hundred of 0.6, of 0.8 one in ten million;
    none is added.

    Raises:
        InputError: above `most_exact`, the package datasketch is not there.
    """
    sets = [shingles(text) for text in texts]
    if len(sets) > most_exact:
        return _by_hashes(sets)
    return _exact(sets)


def _exact(sets: Sequence[frozenset[str]]) -> NDArray[np.int64]:
    from scipy.sparse import csr_matrix

    if not sets:
        return np.empty((0, 2), dtype=np.int64)
    numbers: dict[str, int] = {}
    columns = [numbers.setdefault(shingle, len(numbers)) for own in sets for shingle in own]
    sizes = np.array([len(own) for own in sets])
    ends = np.concatenate([[0], np.cumsum(sizes)])
    table = csr_matrix((np.ones(len(columns), dtype=np.int32), columns, ends), shape=(len(sets), len(numbers)))
    found = []
    for first in range(0, len(sets), _BLOCK):
        both = (table[first : first + _BLOCK] @ table.T).toarray()  # of whole numbers
        alike = both >= SIMILAR * (sizes[first : first + _BLOCK, None] + sizes - both)
        rows, others = np.nonzero(alike)
        rows += first
        found.append(np.column_stack([rows, others])[rows < others])
    return np.concatenate(found).astype(np.int64)


def _by_hashes(sets: Sequence[frozenset[str]]) -> NDArray[np.int64]:
    try:
        from datasketch import MinHash, MinHashLSH
    except ImportError:
        allowed = f"more than {MOST_EXACT} examples need the package datasketch: pip install 'crowd-sim[screens]'"
        raise InputError("screens", None, allowed) from None
    # 32 bands of 4 rows: a pair of similarity s is compared with probability 1 − (1 − s⁴)³²
    index = MinHashLSH(num_perm=128, params=(32, 4))
    found = []
    for number, own in enumerate(sets):
        sketch = MinHash(num_perm=128, seed=1)
        sketch.update_batch([shingle.encode() for shingle in sorted(own)])
        found += [(int(other), number) for other in index.query(sketch) if jaccard(sets[other], own) >= SIMILAR]
        index.insert(number, sketch)
    return np.array(sorted(found), dtype=np.int64).reshape(-1, 2)
