"""Sends requests in the background until the file /tmp/stop exists, and then writes the failures to /tmp/result.

    python load.py --url http://demo-api:8800/v1 model …

One thread for each model sends requests in sequence, alternately buffered and streamed. The arguments may name a model
several times. Each request uses a new connection, as through a load balancer. /tmp/answers contains the number of
answers so far. At the end, /tmp/result contains {"answers": 812, "failures": ["…"]}.
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
from request import complete

STOP, ANSWERS, RESULT = Path("/tmp/stop"), Path("/tmp/answers"), Path("/tmp/result")
PAUSE = 0.05
"""Seconds between an answer and the next request, so that the load leaves CPU time to the tested software."""
CERTIFICATES = ssl.create_default_context()
"""The CA certificates, which are read only once because each request has its own client and reading takes 35 ms."""


class Load:
    """A load of several threads, with the total number of answers and the failures."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._lock = threading.Lock()
        self.answers = 0
        self.failures: list[str] = []

    def run(self, model: str) -> None:
        """Sends the requests of one thread until STOP exists."""
        for stream in itertools.cycle((False, True)):
            if STOP.exists():
                return
            time.sleep(PAUSE)
            failure = self._failure(model, stream)
            with self._lock:
                self.failures += [failure] if failure else []
                self.answers += not failure
                _write(ANSWERS, str(self.answers))

    def _failure(self, model: str, stream: bool) -> str | None:
        try:
            with self._client() as client:
                answer = complete(client, model, stream, {})
        except openai.OpenAIError as error:
            return f"{model}, {'streamed' if stream else 'buffered'}: {type(error).__name__}: {error}"
        return None if answer["text"] and answer["metadata"] else f"{model}: incomplete answer: {answer}"

    def _client(self) -> openai.OpenAI:
        connection = openai.DefaultHttpxClient(verify=CERTIFICATES)
        return openai.OpenAI(base_url=self._url, api_key="none", max_retries=0, timeout=120, http_client=connection)


def main() -> None:
    flags = argparse.ArgumentParser()
    flags.add_argument("--url", required=True)
    flags.add_argument("models", nargs="+")
    options = flags.parse_args()
    # The load continues even if `kubectl exec` loses its connection to this pod.
    if not os.fork():
        _detach()
        _run(Load(options.url), options.models)


def _detach() -> None:
    os.setsid()
    null = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(null, stream)


def _run(load: Load, models: list[str]) -> None:
    threads = [threading.Thread(target=load.run, args=(model,)) for model in models]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    _write(RESULT, json.dumps({"answers": load.answers, "failures": load.failures}))


def _write(path: Path, text: str) -> None:
    # The file is replaced in one step, so that readers never see a partly written file.
    part = path.with_suffix(".part")
    part.write_text(text)
    part.rename(path)


if __name__ == "__main__":
    main()
