"""For the site: what a page links to outside of docs/ (source, configurations) is named by its path, and must exist."""

import re
from pathlib import Path
from typing import Any

_OUTSIDE = re.compile(r"\[([^\]]*)\]\(\.\./([^)#\s]+)[^)]*\)")


def on_page_markdown(markdown: str, config: Any, **_: Any) -> str:
    """Called by MkDocs for every page."""
    root = Path(config["config_file_path"]).parent

    def named(link: re.Match[str]) -> str:
        text, path = link.groups()
        if not (root / path).exists():
            raise FileNotFoundError(f"a page links to {path}, which is not there")
        return f"{text}" if text.strip("`") == path else f"{text} (`{path}`)"

    return _OUTSIDE.sub(named, markdown)
