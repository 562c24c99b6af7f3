"""Writes the evidence of the guard as JSON, and reads it with a check of each field."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from .evidence import COLUMNS, Array, Evidence, Identity
from .situation import Price

MAX_PROMPTS = 5_000
MAX_TARGETS = 64
_MAX_NUMBER = 1e15
_KEY = re.compile(r"[0-9a-f]{16}")
_LIMITS = {
    "input_tokens": (0.0, _MAX_NUMBER),
    "scores": (0.0, 1.0),
    "output_tokens": (0.0, _MAX_NUMBER),
    "costs": (0.0, _MAX_NUMBER),
    "preferences": (-_MAX_NUMBER, _MAX_NUMBER),
    "expected_tokens": (0.0, _MAX_NUMBER),
}


class BadEvidenceError(Exception):
    """A field of the file `guard.json` is wrong."""

    def __init__(self, field: str, found: str, allowed: str) -> None:
        super().__init__(f"{field} is {found}, not {allowed}")


def evidence_as_json(evidence: Evidence) -> dict[str, object]:
    """Returns evidence as JSON. The columns have one list for each target, and numbers have 6 significant digits."""
    targets = [
        {
            "name": target.name,
            "model": target.model,
            "effort": target.effort,
            "price": {"input": price.input, "output": price.output, "request": price.request},
        }
        for target, price in zip(evidence.targets, evidence.prices, strict=True)
    ]
    columns = {name: [_short(column) for column in getattr(evidence, name).T] for name in COLUMNS}
    return {
        "targets": targets,
        "folds": evidence.folds,
        "prompts": list(evidence.prompts),
        "input_tokens": _short(evidence.input_tokens),
        **columns,
    }


def evidence_from(value: Any, path: str) -> Evidence:
    """Returns the evidence that a JSON value contains. The argument `path` names the value in errors.

    Raises BadEvidenceError.
    """
    fields = _object(value, path)
    listed = _list(fields, "targets", path, MAX_TARGETS)
    targets = tuple([_identity(each, f"{path}.targets[{at}]") for at, each in enumerate(listed)])
    if len({target.name for target in targets}) < len(targets) or list(targets) != sorted(targets, key=_name):
        raise BadEvidenceError(f"`{path}.targets`", "not sorted by different names", "a sorted list")
    prices = tuple([_price(each["price"], f"{path}.targets[{at}].price") for at, each in enumerate(listed)])
    prompts = _list(fields, "prompts", path, MAX_PROMPTS)
    if not all(isinstance(key, str) and _KEY.fullmatch(key) for key in prompts) or len(set(prompts)) < len(prompts):
        raise BadEvidenceError(f"`{path}.prompts`", "no list of different keys", "a list of keys with 16 digits")
    folds = fields.get("folds")
    if isinstance(folds, bool) or not isinstance(folds, int) or not 0 <= folds <= 100:
        raise BadEvidenceError(f"`{path}.folds`", repr(folds)[:80], "a whole number from 0 to 100")
    inputs = _numbers(fields.get("input_tokens"), "input_tokens", f"{path}.input_tokens", len(prompts))
    columns = {name: _column(fields, name, path, len(targets), len(prompts)) for name in COLUMNS}
    return Evidence(targets, prices, tuple(prompts), inputs, **columns, folds=folds)


def _name(target: Identity) -> str:
    return target.name


def _short(numbers: Array) -> list[float]:
    return [float(f"{number:.6g}") for number in numbers.tolist()]


def _identity(value: Any, path: str) -> Identity:
    fields = _object(value, path)
    name, model, effort = [fields.get(field) for field in ("name", "model", "effort")]
    if not isinstance(name, str) or not isinstance(model, str) or not isinstance(effort, str | None):
        raise BadEvidenceError(f"`{path}`", "without a name and a model", "an object with two strings")
    if "price" not in fields:
        raise BadEvidenceError(f"`{path}.price`", "missing", "an object")
    return Identity(name, model, effort)


def _price(value: Any, path: str) -> Price:
    fields = _object(value, path)
    stated = [fields.get("input"), fields.get("output"), fields.get("request", 0)]
    amounts = _numbers(stated, "costs", path, 3)
    return Price(*amounts.tolist())


def _column(fields: Mapping[str, Any], name: str, path: str, targets: int, prompts: int) -> Array:
    listed = _list(fields, name, path, MAX_TARGETS)
    if len(listed) != targets:
        raise BadEvidenceError(f"`{path}.{name}`", f"a list of {len(listed)}", f"a list of {targets}, one per target")
    rows = [_numbers(row, name, f"{path}.{name}[{at}]", prompts) for at, row in enumerate(listed)]
    return np.array(rows, np.float64).reshape(targets, prompts).T


def _numbers(value: Any, name: str, path: str, length: int) -> Array:
    if not isinstance(value, list) or len(value) != length:
        raise BadEvidenceError(f"`{path}`", "no list of this length", f"a list of {length} numbers")
    if not all(type(number) in (int, float) for number in value):
        raise BadEvidenceError(f"`{path}`", "a list with other values", "a list of numbers")
    low, high = _LIMITS[name]
    wrong = next((number for number in value if not low <= number <= high), None)
    if wrong is not None:
        raise BadEvidenceError(f"`{path}`", f"a list with {wrong}", f"a list of numbers from {low:g} to {high:g}")
    return np.array(value, np.float64)


def _object(value: Any, path: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise BadEvidenceError(f"`{path}`", repr(value)[:80], "an object")
    return value


def _list(fields: Mapping[str, Any], name: str, path: str, maximum: int) -> list[Any]:
    value = fields.get(name)
    if not isinstance(value, list) or not 0 < len(value) <= maximum:
        raise BadEvidenceError(f"`{path}.{name}`", "no list of this length", f"a list of 1 to {maximum}")
    return value
