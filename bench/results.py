"""Writes the sections of `bench/results.md`."""

from __future__ import annotations

import re
from pathlib import Path

_RESULTS = Path(__file__).with_name("results.md")


def write_section(title: str, text: str) -> None:
    """Replaces the text of the section `title` in `bench/results.md`, or appends the section if it is missing.

    The function also prints the text of the section.
    """
    print(f"\n{text}")
    whole = _RESULTS.read_text() if _RESULTS.exists() else "# Results\n"
    section = f"## {title}\n\n{text.strip()}\n"
    old = re.compile(rf"^## {re.escape(title)}\n.*?(?=^## |\Z)", re.S | re.M)
    if not old.search(whole):
        whole = f"{whole.rstrip()}\n\n## {title}\n"
    whole = old.sub(lambda _: f"{section}\n", whole)
    _RESULTS.write_text(f"{whole.rstrip()}\n")
