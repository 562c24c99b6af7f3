"""Reads the router's responses: bodies, streams, metadata and metrics."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

from fakes.upstreams.exchange import Body

ERROR_FIELDS = {"message", "type", "param", "code"}
"""The names of the fields of an error in OpenAI's format."""


def exact(data: str | bytes) -> Any:
    """Parses JSON. Numbers with a fraction or an exponent become Decimals, so that the numbers stay exact."""
    return json.loads(data, parse_float=Decimal)


def events(data: bytes) -> list[Any]:
    """Returns the parsed data of each event of a stream.

    The data `[DONE]` of the last event stays a string. The function skips comments, and events
    whose first field is not `data`.
    """
    parts = [part for part in data.decode().split("\n\n") if part.startswith("data:")]
    texts = [part.removeprefix("data:").strip() for part in parts]
    return [text if text == "[DONE]" else exact(text) for text in texts]


def streamed_text(received: list[Any], index: int = 0) -> str:
    """Returns the text of the choice with the index `index` in the events of a stream."""
    choices = [
        choice for each in received if each != "[DONE]" for choice in each["choices"] if choice["index"] == index
    ]
    return "".join(choice["delta"].get("content") or "" for choice in choices)


def strategy(body: Body) -> tuple[str, str]:
    """Returns `routing_strategy` and `model_used` from the field `router_metadata` of a body."""
    return body["router_metadata"]["routing_strategy"], body["router_metadata"]["model_used"]


def history(body: Body) -> list[tuple[str, str]]:
    """Returns the model and the status of each attempt to call a target.

    The parameter `body` is the body of a response, the metadata of a response, or a log line.
    """
    entries = body.get("router_metadata", body)["call_history"]
    return [(entry["model_id"], entry["status"]) for entry in entries]


def metric(page: str, name: str) -> Decimal:
    """Returns the sum of the values of a metric on the metrics page `page`.

    If `name` has no labels, the values of all series of the metric are added. If `name` has labels, only the series
    with exactly these labels counts.
    """
    values = [line.rpartition(" ")[2] for line in page.splitlines() if line.startswith((name + "{", name + " "))]
    return sum(map(Decimal, values), Decimal(0))
