r"""Extracts the final answer from an answer, so that the answers of several targets can be compared.

The final answer consists of the calls of the client's tools. Without such calls, it is the field `answer` of a JSON
object, the content of `\boxed{}`, the letter of an option, or the last number in the text, in this order.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from json import JSONDecoder
from typing import Literal

Kind = Literal["tools", "json", "boxed", "option", "number", "none"]
KINDS: tuple[Kind, ...] = ("tools", "json", "boxed", "option", "number", "none")

_MAX_VALUE = 500
"""The maximum number of characters of a final answer that count."""
_FIELD = re.compile(r'"answer"\s*:\s*')
_TEXT_VALUE = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_OPTION = re.compile(r"[Aa]nswer(?: is|:)?[\s:*]{0,4}(?:\(([A-J])\)|([A-J])\b(?!\s+[a-z]|'))")
_ONLY_OPTION = re.compile(r"\W*([A-J])\W*")
NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?")
_FRACTION = re.compile(r"\\[dt]?frac\{([^{}]*)\}\{([^{}]*)\}")
_SIMPLE_FRACTION = re.compile(r"\((-?\w+)\)/\((\w+)\)")
_STYLE = re.compile(r"\\(?:text|mathrm|mathbf|boxed|textbf)\s*\{([^{}]*)\}|\\(?:left|right|displaystyle|,|;|!|:| )")
_DECODER = JSONDecoder(strict=False)


@dataclass(frozen=True)
class ToolCall:
    """A call of one of the client's tools. The attribute `arguments` is JSON."""

    name: str
    arguments: str


@dataclass(frozen=True)
class Final:
    """A final answer in a form in which equal final answers are equal texts, and where the final answer was found.

    If an answer has no final answer, the kind is `none` and the value is empty.
    """

    kind: Kind
    value: str


NO_FINAL = Final("none", "")


def final_answer(text: str, tool_calls: Sequence[ToolCall] = ()) -> Final:
    """Returns the final answer of an answer with a text and calls of the client's tools."""
    if tool_calls:
        return Final("tools", "\n".join(sorted(map(_tool_call, tool_calls))))
    for kind, find in _FINDERS:
        value = find(text)
        if value is not None:
            return Final(kind, canonical(value) or "''")
    return NO_FINAL


def canonical(value: str) -> str:
    """Returns a value in lower case, without spaces, outer quotes, and commands of LaTeX that only set the style.

    Numbers lose the separators of thousands and the zeros at the end, so that `1,000.0` is equal to `1000`.
    """
    text = value[:_MAX_VALUE].strip().strip("$").strip()
    text = _FRACTION.sub(r"(\1)/(\2)", _STYLE.sub(lambda match: match[1] or "", text))
    text = compact(text.replace("\\%", "%"))
    text = _SIMPLE_FRACTION.sub(r"\1/\2", text).strip(".*")
    if len(text) > 1 and text[0] == text[-1] == "'":
        text = text[1:-1]
    return _number(text.removesuffix("%"))


def compact(text: str) -> str:
    """Returns a text in lower case, without spaces, dollar signs and backquotes, and with single quotes only."""
    return re.sub(r"[\s$`]", "", text.replace('"', "'")).lower()


def _tool_call(call: ToolCall) -> str:
    try:
        arguments = json.dumps(json.loads(call.arguments), sort_keys=True)
    except (ValueError, RecursionError):
        arguments = compact(call.arguments)
    return f"{call.name} {arguments}"


def _number(text: str) -> str:
    if not NUMBER.fullmatch(text):
        return text
    digits = text.replace(",", "")
    return digits.rstrip("0").rstrip(".") if "." in digits else digits


def _json_field(text: str) -> str | None:
    """Returns the value of the last field `answer`, even if the JSON object around the field is not valid."""
    ends = [match.end() for match in _FIELD.finditer(text)]
    if not ends or ends[-1] == len(text):
        return None
    try:
        value = _DECODER.raw_decode(text, ends[-1])[0]
    except (ValueError, RecursionError):
        quoted = _TEXT_VALUE.match(text, ends[-1])
        return quoted[1] if quoted else text[ends[-1] :].splitlines()[0].rstrip(" ,}")
    return value if isinstance(value, str) else str(value)


def _boxed(text: str) -> str | None:
    r"""Returns the content of the last `\boxed{}`. Returns None if no `\boxed{` exists or its braces do not close."""
    begin = text.rfind("\\boxed{")
    if begin < 0:
        return None
    depth, start = 0, begin + len("\\boxed")
    for at in range(start, min(len(text), start + _MAX_VALUE)):
        depth += (text[at] == "{") - (text[at] == "}")
        if depth == 0:
            return text[start + 1 : at]
    return None


def _option(text: str) -> str | None:
    only = _ONLY_OPTION.fullmatch(text)
    if only:
        return only[1]
    found = _OPTION.findall(text)
    return max(found[-1]) if found else None


def _last_number(text: str) -> str | None:
    numbers = NUMBER.findall(text)
    return numbers[-1] if numbers else None


_FINDERS: tuple[tuple[Kind, Callable[[str], str | None]], ...] = (
    ("json", _json_field), ("boxed", _boxed), ("option", _option), ("number", _last_number),
)  # fmt: skip
