"""Clients inside the cluster, as pods with the openai package."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from cluster import Namespace, eventually


class Client:
    """A waiting pod that is told what to ask."""

    def __init__(self, namespace: Namespace, pod: str = "client") -> None:
        self._namespace, self._pod = namespace, pod

    def ask(self, router: str, model: str = "router", *, stream: bool = False, key: str = "none", **limit: Any) -> Any:
        """An answer or a refusal as ask.py prints it; `limit` is the body's `router` object."""
        options = ["--model", model, "--key", key, "--limit", json.dumps(limit), *(["--stream"] if stream else [])]
        return json.loads(self._python("ask.py", "--url", _url(router), *options))

    def seen_by(self, target: str) -> Any:
        """What a target saw: `calls`, the number of completions it gave, and the `key` of the last."""
        read = f"import urllib.request as r; print(r.urlopen('http://{target}:8000/seen').read().decode())"
        return json.loads(self._python("-c", read))

    @contextmanager
    def load(self, router: str, *models: str) -> Iterator[dict[str, Any]]:
        """Each of the models is asked steadily while the block runs; then its mapping has `answers` and `failures`."""
        found: dict[str, Any] = {}
        self._python("load.py", "--url", _url(router), *models)
        self.until_asked(10)
        yield found
        self._python("-c", "open('/tmp/stop', 'w').close()")
        found |= json.loads(eventually(lambda: self._read("/tmp/result"), within=180))

    def until_asked(self, more: int) -> None:
        """Waits until the load has had so many answers more."""
        before = eventually(self._asked, within=60)
        eventually(lambda: self._asked() >= before + more, within=120, every=2)

    def _asked(self) -> int:
        return int(self._read("/tmp/asked"))

    def _read(self, path: str) -> str:
        return self._python("-c", f"print(open('{path}').read())")

    def _python(self, *arguments: str) -> str:
        return self._namespace.kubectl("exec", self._pod, "--", "python", *arguments, timeout=300)


def _url(router: str) -> str:
    return f"http://{router}-api:8800/v1"


def assert_whole(answer: Any) -> None:
    """An answer with a text, and metadata that adds up."""
    assert answer["status"] == 200, answer
    assert answer["text"]
    metadata = answer["metadata"]
    assert sum(call["selected"] for call in metadata["call_history"]) == 1
    assert metadata["total_cost"] == pytest.approx(metadata["router_cost"] + metadata["target_models_cost"])
