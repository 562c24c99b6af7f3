"""The JSON form of a situation and of a choice: the field `rl_router` of requests and responses.

The router API sends the field only to servers whose list of models announces support for the field.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, get_args

from .errors import SituationError
from .features import Context
from .profile import Profile
from .situation import Call, Candidate, Choice, Price, Situation, Status, Verdict

VERSION = 1
_MAX_NUMBER = 1e15
_MIN_VALUE = 1e-15
"""The minimum worth of a good answer in US dollars. A cost divided by this worth is still a finite number."""


def as_json(situation: Situation) -> dict[str, Any]:
    """Returns a situation as the field `rl_router` of a request."""
    fields = {"version": VERSION, **asdict(situation)}
    for candidate in fields["candidates"]:
        if candidate["model"] is None:
            del candidate["model"]
    return fields


def choice_as_json(choice: Choice) -> dict[str, Any]:
    """Returns a choice as the field `rl_router` of a response."""
    fields = asdict(choice)
    return {name: fields[name] for name in ("artefact", "reason", "challenger", "candidates")}


def situation_from(value: object) -> Situation:
    """Returns the situation that the field `rl_router` of a request contains. Raises SituationError."""
    reader = _Reader(value, "rl_router")
    version = reader.optional_number("version")
    if version != VERSION:
        shown = "missing" if version is None else f"{version:g}"
        raise SituationError(f"`rl_router.version` is {shown}. Use the version {VERSION}")
    return Situation(
        text=reader.text("text"),
        value=reader.optional_number("value", _MIN_VALUE),
        second_price=reader.number("second_price", 0),
        guard=reader.one_of("guard", get_args(Verdict), "unproven"),
        ranking=tuple(reader.texts("ranking")),
        context=_context(reader.inner("context")),
        turns_left=int(reader.number("turns_left", 1)),
        candidates=tuple([_candidate(each) for each in reader.objects("candidates")]),
        calls=tuple([_call(each) for each in reader.objects("calls")]),
    )


def _context(reader: _Reader) -> Context:
    names = ("messages", "characters", "tools", "tool_results")
    return Context(*[int(reader.number(name, 0)) for name in names])


def _candidate(reader: _Reader) -> Candidate:
    price = reader.inner("price") if reader.has("price") else None
    return Candidate(
        tool=reader.text("tool"),
        target=reader.text("target"),
        effort=reader.optional_text("effort"),
        price=None if price is None else Price(*[price.number(name, 0) for name in ("input", "output", "request")]),
        profile=profile_from(reader.inner("profile")) if reader.has("profile") else None,
        cost=reader.optional_number("cost"),
        latency=reader.optional_number("latency"),
        explorable=bool(reader.fields.get("explorable", True)),
        model=reader.optional_text("model"),
    )


def _call(reader: _Reader) -> Call:
    return Call(
        call_id=reader.text("call_id"),
        tool=reader.text("tool"),
        status=reader.one_of("status", get_args(Status), "ok"),
        answer=reader.optional_text("answer") or "",
        cost=reader.number("cost", 0),
        seconds=reader.number("seconds", 0),
    )


def profile_from(reader: _Reader) -> Profile:
    """Returns the profile that a JSON object contains. Raises SituationError."""
    benchmarks = reader.inner("benchmarks")
    return Profile(
        reader.optional_number("input_price"),
        reader.optional_number("output_price"),
        reader.optional_number("parameters"),
        {name: benchmarks.number(name, 0) for name in benchmarks.fields},
    )


class _Reader:
    """Reads the fields of a JSON object. The attribute `path` names the object in errors."""

    def __init__(self, value: object, path: str) -> None:
        if not isinstance(value, dict):
            raise SituationError(f"`{path}` must be an object, not {_kind(value)}")
        self.fields: Mapping[str, Any] = value
        self.path = path

    def has(self, name: str) -> bool:
        return self.fields.get(name) is not None

    def text(self, name: str) -> str:
        value: str = self._typed(name, str, "a string")
        return value

    def optional_text(self, name: str) -> str | None:
        return self.text(name) if self.has(name) else None

    def number(self, name: str, default: float) -> float:
        return self._finite(name) if self.has(name) else default

    def optional_number(self, name: str, minimum: float = 0) -> float | None:
        return self._finite(name, minimum) if self.has(name) else None

    def _finite(self, name: str, minimum: float = 0) -> float:
        value: Any = self.fields.get(name)
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not is_number or not minimum <= value <= _MAX_NUMBER:
            shown, limits = str(value)[:20] if is_number else _kind(value), f"{minimum:g} to {_MAX_NUMBER:g}"
            raise SituationError(f"`{self.path}.{name}` must be a number from {limits}, not {shown}")
        return float(value)

    def one_of(self, name: str, allowed: tuple[str, ...], default: str) -> Any:
        value = self.fields.get(name, default)
        if value not in allowed:
            raise SituationError(f"`{self.path}.{name}` must be one of {', '.join(allowed)}, not {value!r}")
        return value

    def inner(self, name: str) -> _Reader:
        return _Reader(self.fields.get(name) or {}, f"{self.path}.{name}")

    def objects(self, name: str) -> list[_Reader]:
        values = self._list(name)
        return [_Reader(value, f"{self.path}.{name}[{position}]") for position, value in enumerate(values)]

    def texts(self, name: str) -> list[str]:
        values = self._list(name)
        if not all(isinstance(value, str) for value in values):
            raise SituationError(f"`{self.path}.{name}` must contain only strings")
        return values

    def _list(self, name: str) -> list[Any]:
        value: list[Any] = self._typed(name, list, "a list") if self.has(name) else []
        return value

    def _typed(self, name: str, type_: type[Any], words: str) -> Any:
        value = self.fields.get(name)
        if not isinstance(value, type_):
            raise SituationError(f"`{self.path}.{name}` must be {words}, not {_kind(value)}")
        return value


def _kind(value: object) -> str:
    names = {dict: "an object", list: "a list", str: "a string", bool: "a boolean", int: "a number", float: "a number"}
    return "null" if value is None else names.get(type(value), type(value).__name__)
