"""Writes generated files, or prints the files that would change."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parents[3]


def update(texts: Mapping[str, str], *, check: bool, command: str, root: Path = ROOT) -> int:
    """Writes every text to its path under `root`. With `check`, prints the files that `command` would change instead.

    Returns the exit status: 1 if `check` finds a file that would change.
    """
    changed = [path for path, text in texts.items() if not _contains(root / path, text)]
    for path in changed:
        if check:
            print(f"{path} does not match its sources. Run {command}")
        else:
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(texts[path], encoding="utf-8")
    return int(check and bool(changed))


def _contains(path: Path, text: str) -> bool:
    return path.is_file() and path.read_text("utf-8") == text


def replace_between(begin: str, end: str, text: str, content: str) -> str:
    """Returns `text` with `content` between the lines `begin` and `end`. Raises ValueError if a line is missing."""
    before, has_begin, rest = text.partition(begin)
    _, has_end, after = rest.partition(end)
    if not (has_begin and has_end):
        raise ValueError(f"the lines {begin} and {end} are missing. Add them in this order")
    return f"{before}{begin}\n{content}\n{end}{after}"
