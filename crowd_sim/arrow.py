"""What is handed to Arrow."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:  # imported late: a command without tables should not wait for it
    import pyarrow as pa


def arrow_file(content: bytes) -> pa.BufferReader:
    """Bytes as a file of Arrow's own, of a copy of them.

    Arrow reads a Python file by threads of its own, whatever ``use_threads`` says. One that lets go of a Python object while
    the interpreter ends aborts the process.
    """
    import pyarrow as pa

    copy = pa.BufferOutputStream()
    copy.write(content)
    return pa.BufferReader(copy.getvalue())
