"""Fixtures for the tests of all clients: the router's URL, and the requests that its targets received."""

from __future__ import annotations

import json
import os
import re
import urllib.request
from collections.abc import Callable
from typing import Any

import pytest

BASE_URL = os.environ["CLIENTS_ROUTER"]
UPSTREAM = os.environ["CLIENTS_UPSTREAM"]

Body = dict[str, Any]


class Targets:
    """The requests that the targets received since the test began."""

    @property
    def received(self) -> list[Body]:
        return list(_at_upstream("GET"))

    @property
    def bodies(self) -> list[Body]:
        return [request["body"] for request in self.received]

    @property
    def names(self) -> list[str]:
        return [request["target"] for request in self.received]

    @property
    def last(self) -> Body:
        return self.bodies[-1]

    def tool_call_ids(self) -> list[str]:
        """Returns all tool call ids in the last request, in order."""
        return re.findall(r'"(?:id|tool_call_id)": "([^"]*)"', json.dumps(self.last["messages"]))


def _at_upstream(method: str) -> Any:
    request = urllib.request.Request(f"{UPSTREAM}/received", method=method)
    with urllib.request.urlopen(request, timeout=10) as response:
        return json.load(response)


@pytest.fixture
def base_url() -> str:
    """Returns the router's base URL, which ends with `/v1`."""
    return BASE_URL


@pytest.fixture
def picture() -> str:
    """Returns the data URL of a picture with one pixel."""
    return (
        "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAA"
        "AABJRU5ErkJggg=="
    )


@pytest.fixture
def targets() -> Targets:
    """Returns the targets, after the requests of earlier tests were deleted."""
    _at_upstream("DELETE")
    return Targets()


@pytest.fixture
def assert_one_target(targets: Targets) -> Callable[[], None]:
    """Returns a function that fails unless one target received all requests, with its own tool call ids."""

    def check() -> None:
        assert len(targets.names) > 1
        assert len(set(targets.names)) == 1, targets.names
        ids = targets.tool_call_ids()
        assert ids
        assert all(re.fullmatch(r"call_\d_\d", call_id) for call_id in ids), ids

    return check
