"""Serves a target: a small OpenAI-compatible server on port 8000 that answers with its own name.

The target reports a usage of 1,000 prompt tokens per message and 100 completion tokens.

    python target.py NAME [--keys FILE]

With `--keys`, each request must have one of the keys in the file, which contains one key per line. The target reads the
file for each request because a mounted Secret can change. `GET /received` returns the number of completions and the key
of the last completion.
"""

from __future__ import annotations

import argparse
import itertools
import json
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

WORDS = 8


class Target(BaseHTTPRequestHandler):
    """Handles one connection. The class attributes `name` and `keys` are set once, before serving."""

    protocol_version = "HTTP/1.1"
    name = ""
    keys: Path | None = None
    calls = itertools.count()
    completions = 0
    last_key = ""

    def do_GET(self) -> None:
        if self.path == "/received":
            self._reply(200, {"calls": type(self).completions, "key": type(self).last_key})
        elif self._allowed():
            self._reply(200, {"object": "list", "data": [{"id": self.name, "object": "model"}]})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if not self._allowed():
            return
        type(self).completions = next(self.calls) + 1
        type(self).last_key = self.headers.get("Authorization", "").removeprefix("Bearer ")
        usage = self._usage(len(body["messages"]))
        if body.get("stream"):
            self._stream(usage)
        else:
            text = " ".join([f"{self.name} says so."] * WORDS)
            choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
            self._reply(200, {**self._head("chat.completion"), "choices": [choice], "usage": usage})

    def _allowed(self) -> bool:
        if self.keys is None:
            return True
        accepted = {f"Bearer {key}" for key in self.keys.read_text().split()}
        if self.headers.get("Authorization") in accepted:
            return True
        self._reply(401, {"error": {"message": "unknown API key", "type": "invalid_request_error"}})
        return False

    def _reply(self, status: int, body: dict[str, Any]) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _stream(self, usage: dict[str, int]) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        for word in range(WORDS):
            delta = {"content": f"{self.name} says so. "}
            self._event({"choices": [{"index": 0, "delta": delta, "finish_reason": None}]})
            time.sleep(0.02 if word else 0)
        self._event({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
        self._event({"choices": [], "usage": usage})
        self.wfile.write(b"data: [DONE]\n\n")

    def _event(self, body: dict[str, Any]) -> None:
        data = json.dumps({**self._head("chat.completion.chunk"), **body})
        self.wfile.write(f"data: {data}\n\n".encode())

    def _head(self, kind: str) -> dict[str, Any]:
        return {"id": "chatcmpl-1", "object": kind, "created": 1, "model": self.name}

    def _usage(self, messages: int) -> dict[str, int]:
        prompt, completion = 1000 * messages, 100
        return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}

    def log_message(self, format: str, *arguments: Any) -> None:
        """Logs no requests."""


def main() -> None:
    flags = argparse.ArgumentParser()
    flags.add_argument("name")
    flags.add_argument("--keys", type=Path)
    options = flags.parse_args()
    Target.name, Target.keys = options.name, options.keys
    ThreadingHTTPServer(("", 8000), Target).serve_forever()


if __name__ == "__main__":
    main()
