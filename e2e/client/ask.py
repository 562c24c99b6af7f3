"""Asks one question with the openai package and prints what came back, as JSON.

    python ask.py --url http://demo-api:8800/v1 [--model router] [--stream] [--key KEY] [--limit JSON]

An answer is {"status": 200, "model", "text", "metadata"}, a refusal {"status", "error"}; what never reached a server is
{"status": null, "error"}.
"""

from __future__ import annotations

import argparse
import json
from typing import Any

import openai


def main() -> None:
    flags = argparse.ArgumentParser()
    flags.add_argument("--url", required=True)
    flags.add_argument("--model", default="router")
    flags.add_argument("--key", default="none")
    flags.add_argument("--stream", action="store_true")
    flags.add_argument("--limit", type=json.loads, default={})
    given = flags.parse_args()
    client = openai.OpenAI(base_url=given.url, api_key=given.key, max_retries=0, timeout=120)
    try:
        found = {"status": 200, **ask(client, given.model, given.stream, given.limit)}
    except openai.APIStatusError as error:
        found = {"status": error.status_code, "error": error.message}
    except openai.APIConnectionError as error:
        found = {"status": None, "error": str(error.__cause__ or error)}
    print(json.dumps(found))


def ask(client: openai.OpenAI, model: str, stream: bool, limit: dict[str, Any]) -> dict[str, Any]:
    """An answer's model, text and metadata; a stream's are put together from its chunks."""
    question = [{"role": "user", "content": "Why is the sky blue?"}]
    body = {"router": limit} if limit else {}
    made = client.chat.completions.create(
        model=model, messages=question, max_tokens=24, stream=stream, extra_body=body
    )  # fmt: skip
    if not stream:
        return _found(made, made.choices[0].message.content)
    chunks = list(made)
    texts = [choice.delta.content or "" for chunk in chunks for choice in chunk.choices]
    return _found(chunks[-1], "".join(texts))


def _found(last: Any, text: str | None) -> dict[str, Any]:
    return {"model": last.model, "text": text, "metadata": (last.model_extra or {}).get("router_metadata")}


if __name__ == "__main__":
    main()
