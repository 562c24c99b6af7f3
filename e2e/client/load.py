"""Asks in the background until the file /tmp/stop is there; then says what failed.

    python load.py --url http://demo-api:8800/v1 model …

For each of the models, which may be the same ones, somebody asks steadily, buffered and streamed, by a connection made
anew for each question, as a client behind a balancer does. /tmp/asked holds the number of answers so far; in the end
/tmp/result has {"answers": 812, "failures": ["…"]}.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import ssl
import threading
import time
from pathlib import Path

import openai
from ask import ask

STOP, ASKED, RESULT = Path("/tmp/stop"), Path("/tmp/asked"), Path("/tmp/result")
PAUSE = 0.05
"""Seconds between an answer and the next question: what is tested shares this machine's processors."""
CERTIFICATES = ssl.create_default_context()
"""Read once: they cost 35 ms of CPU, and each question has a client of its own."""


class Load:
    """What all who ask count together."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._lock = threading.Lock()
        self.answers = 0
        self.failures: list[str] = []

    def run(self, model: str) -> None:
        """One's questions."""
        for stream in itertools.cycle((False, True)):
            if STOP.exists():
                return
            time.sleep(PAUSE)
            failure = self._failure(model, stream)
            with self._lock:
                self.failures += [failure] if failure else []
                self.answers += not failure
                _write(ASKED, str(self.answers))

    def _failure(self, model: str, stream: bool) -> str | None:
        try:
            with self._client() as client:
                found = ask(client, model, stream, {})
        except openai.OpenAIError as error:
            return f"{model}, {'streamed' if stream else 'buffered'}: {type(error).__name__}: {error}"
        return None if found["text"] and found["metadata"] else f"{model}: no whole answer: {found}"

    def _client(self) -> openai.OpenAI:
        fresh = openai.DefaultHttpxClient(verify=CERTIFICATES)
        return openai.OpenAI(base_url=self._url, api_key="none", max_retries=0, timeout=120, http_client=fresh)


def main() -> None:
    flags = argparse.ArgumentParser()
    flags.add_argument("--url", required=True)
    flags.add_argument("models", nargs="+")
    given = flags.parse_args()
    # Whoever started it may lose the connection to this pod; the load goes on.
    if not os.fork():
        _detach()
        _run(Load(given.url), given.models)


def _detach() -> None:
    os.setsid()
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nowhere, stream)


def _run(load: Load, models: list[str]) -> None:
    threads = [threading.Thread(target=load.run, args=(model,)) for model in models]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    _write(RESULT, json.dumps({"answers": load.answers, "failures": load.failures}))


def _write(path: Path, text: str) -> None:
    # Whoever looks sees all of it or nothing.
    part = path.with_suffix(".part")
    part.write_text(text)
    part.rename(path)


if __name__ == "__main__":
    main()
