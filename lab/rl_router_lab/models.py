"""The prices and profiles of the models in a table: the file of the option `--models`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rl_router_policy.profile import Profile
from rl_router_policy.situation import Price

from .errors import LabError


@dataclass(frozen=True)
class Model:
    """A model's price and profile.

    The attribute `served` is the name under which the endpoint serves the model, or None if it is the model's own name.
    """

    price: Price
    profile: Profile
    served: str | None = None


Models = Mapping[str, Model]


def read_models(file: Path) -> Models:
    """Returns the models that a JSON file describes, by name. Raises LabError.

    The file has the form `{"models": {NAME: {"price": {"input": USD, "output": USD, "request": USD}, "model": NAME,
    "parameters_billion": NUMBER, "benchmarks": {NAME: SCORE}}}}`. The prices of input and output are per million
    tokens. Only these two prices are required.
    """
    try:
        content = json.loads(file.read_text())
    except (OSError, ValueError) as error:
        raise LabError(f"{file}: cannot be read: {error}. Pass a JSON file with the prices of the models") from None
    models = content.get("models") if isinstance(content, dict) else None
    if not isinstance(models, dict):
        raise LabError(f'{file}: has no object "models". Add {{"models": {{NAME: {{"price": …}}}}}}')
    return {name: _model(file, name, fields) for name, fields in models.items()}


def require(models: Models, names: Iterable[str], file: Path) -> None:
    """Raises LabError if a model is not in the file with the models."""
    missing = sorted(set(names) - set(models))
    if missing:
        count = f"missing models of the table: {len(missing)}"
        raise LabError(f"{file}: has no price for the model `{missing[0]}` ({count}). Add the prices to the file")


def _model(file: Path, name: str, fields: Any) -> Model:
    price: Any = fields.get("price") if isinstance(fields, dict) else None
    stated: Any = price if isinstance(price, dict) else {}
    amounts = [stated.get("input"), stated.get("output"), stated.get("request", 0)]
    if not all(_is_amount(amount) for amount in amounts):
        remedy = "Use an object with the numbers `input` and `output` ≥ 0, and perhaps `request`"
        raise LabError(f"{file}: `price` of the model `{name}` is {price!r}. {remedy}")
    size, benchmarks = fields.get("parameters_billion"), fields.get("benchmarks") or {}
    if not (size is None or _is_amount(size)):
        raise LabError(f"{file}: `parameters_billion` of the model `{name}` is {size!r}. Omit it or use a number ≥ 0")
    if not isinstance(benchmarks, dict) or not all(_is_amount(score) and score <= 1 for score in benchmarks.values()):
        remedy = "Use an object with scores from 0 to 1"
        raise LabError(f"{file}: `benchmarks` of the model `{name}` is {benchmarks!r}. {remedy}")
    served = fields.get("model")
    if served is not None and (not isinstance(served, str) or not served):
        raise LabError(f"{file}: `model` of the model `{name}` is {served!r}. Omit it or use the name that is served")
    input_, output, request = map(float, amounts)
    return Model(Price(input_, output, request), Profile(input_, output, size, benchmarks), served)


def _is_amount(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < float("inf")
