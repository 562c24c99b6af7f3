"""Sends one request with the openai package and prints the result as JSON.

    python request.py --url http://demo-api:8800/v1 [--model router] [--stream] [--key KEY] [--limit JSON]

The result of an answer is {"status": 200, "model", "text", "metadata"}. The result of an error response is {"status",
"error"}. If no server was reached, the result is {"status": null, "error"}.
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
    options = flags.parse_args()
    client = openai.OpenAI(base_url=options.url, api_key=options.key, max_retries=0, timeout=120)
    try:
        result = {"status": 200, **complete(client, options.model, options.stream, options.limit)}
    except openai.APIStatusError as error:
        result = {"status": error.status_code, "error": error.message}
    except openai.APIConnectionError as error:
        result = {"status": None, "error": str(error.__cause__ or error)}
    print(json.dumps(result))


def complete(client: openai.OpenAI, model: str, stream: bool, limit: dict[str, Any]) -> dict[str, Any]:
    """Returns the model, text and metadata of an answer, which may be a stream. Raises openai.OpenAIError."""
    question = [{"role": "user", "content": "Why is the sky blue?"}]
    body = {"router": limit} if limit else {}
    response = client.chat.completions.create(
        model=model, messages=question, max_tokens=24, stream=stream, extra_body=body
    )  # fmt: skip
    if not stream:
        return _result(response, response.choices[0].message.content)
    chunks = list(response)
    texts = [choice.delta.content or "" for chunk in chunks for choice in chunk.choices]
    return _result(chunks[-1], "".join(texts))


def _result(last: Any, text: str | None) -> dict[str, Any]:
    return {"model": last.model, "text": text, "metadata": (last.model_extra or {}).get("router_metadata")}


if __name__ == "__main__":
    main()
