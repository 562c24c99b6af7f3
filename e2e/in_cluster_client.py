"""Sends requests from a client pod inside the cluster, with the openai package."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from cluster import Namespace, eventually


class Client:
    """An idle pod in which the tests run client programs."""

    def __init__(self, namespace: Namespace, pod: str = "client") -> None:
        self._namespace, self._pod = namespace, pod

    def request(
        self, router: str, model: str = "router", *, stream: bool = False, key: str = "none", **limit: Any
    ) -> Any:
        """Sends a request with request.py and returns the result. `limit` is the object `router` of the request."""
        options = ["--model", model, "--key", key, "--limit", json.dumps(limit), *(["--stream"] if stream else [])]
        return json.loads(self._python("request.py", "--url", _url(router), *options))

    def received_by(self, target: str) -> Any:
        """Returns `calls`, a target's number of completions, and `key`, the API key of the last completion."""
        program = f"import urllib.request as r; print(r.urlopen('http://{target}:8000/received').read().decode())"
        return json.loads(self._python("-c", program))

    @contextmanager
    def load(self, router: str, *models: str) -> Iterator[dict[str, Any]]:
        """Sends requests to the models until the block ends. Then adds `answers` and `failures` to the yielded dict."""
        result: dict[str, Any] = {}
        self._python("load.py", "--url", _url(router), *models)
        self.wait_for_answers(10)
        yield result
        self._python("-c", "open('/tmp/stop', 'w').close()")
        result |= json.loads(eventually(lambda: self._read("/tmp/result"), within=180))

    def wait_for_answers(self, count: int) -> None:
        """Waits until the load has received `count` more answers."""
        before = eventually(self._answers, within=60)
        eventually(lambda: self._answers() >= before + count, within=120, every=2)

    def _answers(self) -> int:
        return int(self._read("/tmp/answers"))

    def _read(self, path: str) -> str:
        return self._python("-c", f"print(open('{path}').read())")

    def _python(self, *arguments: str) -> str:
        return self._namespace.kubectl("exec", self._pod, "--", "python", *arguments, timeout=300)


def _url(router: str) -> str:
    return f"http://{router}-api:8800/v1"


def assert_complete(answer: Any) -> None:
    """Fails unless the answer has a text, exactly one selected call, and costs that add up."""
    assert answer["status"] == 200, answer
    assert answer["text"]
    metadata = answer["metadata"]
    assert sum(call["selected"] for call in metadata["call_history"]) == 1
    assert metadata["total_cost"] == pytest.approx(metadata["router_cost"] + metadata["target_models_cost"])
