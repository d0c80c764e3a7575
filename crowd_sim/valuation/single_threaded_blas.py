"""One thread for the linear algebra, so that its last bits do not depend on the machine's settings."""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import cache

from threadpoolctl import ThreadpoolController


def one_thread() -> AbstractContextManager[object]:
    """BLAS and LAPACK on one thread: the order of their sums, and so the last bits, depends on the thread count."""
    return _threadpools().limit(limits=1)


@cache
def _threadpools() -> ThreadpoolController:
    return ThreadpoolController()  # looking for the libraries takes longer than solving; numpy's and scipy's are loaded
