"""The part of the chart's README that lists the values."""

from __future__ import annotations

import json
from collections.abc import Iterable
from itertools import groupby

from values import Value

BEGIN, END = "<!-- values: begin -->", "<!-- values: end -->"


def readme(text: str, values: Iterable[Value]) -> str:
    """The README with its list of values written anew. Raises ValueError where it has no place for one."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"the README lacks the lines {BEGIN} and {END}")
    return f"{before}{BEGIN}\n{_sections(values)}\n{END}{after}"


def _sections(values: Iterable[Value]) -> str:
    shown = [value for value in values if not value.hidden]
    parents = {value.path[:-1] for value in shown}
    return "\n".join(
        f"\n### {section}\n\n| value | default | what it is |\n| --- | --- | --- |\n"
        + "\n".join(_row(value, parent=value.path in parents) for value in members)
        for section, members in groupby(shown, key=lambda value: value.section)
    )


def _row(value: Value, parent: bool) -> str:
    # The default of what has described members is told by them.
    told = value.default is None or parent
    default = "" if told else f"`{json.dumps(value.default, ensure_ascii=False)}`"
    about = value.about[0].replace("|", "\\|") if value.about else ""
    return f"| `{'.'.join(value.path)}` | {default} | {about} |"
