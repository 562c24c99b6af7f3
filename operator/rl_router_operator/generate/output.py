"""Writes generated files, or prints the paths of the generated files that would change."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parents[3]


def update(texts: Mapping[str, str], *, check: bool, command: str, root: Path = ROOT) -> int:
    """Writes each text of the mapping `texts` to a file, unless the file already contains exactly this text.

    The keys of `texts` are the paths of the files, relative to the folder `root`. If `check` is true, the function
    writes no file, but prints the path of every file that would change, and the command `command` that changes the
    file. Returns the exit status, which is 1 if `check` is true and a file would change, otherwise 0.
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
    """Returns the text `text`, but with `content` instead of everything between the lines `begin` and `end`.

    Raises ValueError if `text` lacks the line `begin`, or if no line `end` follows the line `begin`.
    """
    before, has_begin, rest = text.partition(begin)
    _, has_end, after = rest.partition(end)
    if not (has_begin and has_end):
        raise ValueError(
            f"the text lacks the line {begin}, or no line {end} follows the line {begin}. Add the line {begin}, and"
            f" below it the line {end}"
        )
    return f"{before}{begin}\n{content}\n{end}{after}"
