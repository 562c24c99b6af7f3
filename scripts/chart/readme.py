"""Generates the list of values in the chart's README."""

from __future__ import annotations

import json
from collections.abc import Iterable
from itertools import groupby

from rl_router_operator.generate.output import replace_between
from values import Value


def readme(text: str, values: Iterable[Value]) -> str:
    """Returns the text of the chart's README with a new list of values.

    Raises ValueError if the README lacks the marker before or after the list of values.
    """
    return replace_between("<!-- values: begin -->", "<!-- values: end -->", text, _sections(values))


def _sections(values: Iterable[Value]) -> str:
    shown = [value for value in values if not value.hidden]
    parents = {value.path[:-1] for value in shown}
    return "\n".join(
        f"\n### {section}\n\n| value | default | what it is |\n| --- | --- | --- |\n"
        + "\n".join(_row(value, parent=value.path in parents) for value in members)
        for section, members in groupby(shown, key=lambda value: value.section)
    )


def _row(value: Value, parent: bool) -> str:
    # The row of an object has no default if its fields have their own rows.
    default = "" if value.default is None or parent else f"`{json.dumps(value.default, ensure_ascii=False)}`"
    about = value.about[0].replace("|", "\\|") if value.about else ""
    return f"| `{'.'.join(value.path)}` | {default} | {about} |"
