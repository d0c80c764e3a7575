"""`python -m tests.golden.make`: make golden.json anew, and say what is different from before.

To be run where a change of results is meant. Whoever commits the file says why.
"""

import json
import sys

from tests.golden.comparing import PATH, difference, read
from tests.golden.pinned import IS_PINNABLE, versions
from tests.golden.runs import KINDS, made


def make() -> None:
    """Run everything; nothing is written where a run fails."""
    if not IS_PINNABLE:
        sys.exit("golden digests are made on x86-64 with Linux")
    before = read() if PATH.exists() else {}
    content = {"versions": versions(), **{kind: made(kind) for kind in KINDS}}
    for kind in KINDS:
        for name, found in content[kind].items():
            if "command" in found:
                sys.exit(f"{kind}, {name}: {found['command']['error']}")
            if words := difference(before.get(kind, {}).get(name, {}), found).words():
                print(f"{kind}, {name}\n{words}")
    PATH.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    make()
