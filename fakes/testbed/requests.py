"""Builds chat requests, as JSON or in parsed form."""

from __future__ import annotations

import json
from typing import Any

from rl_router_api.conversation.request import Request
from rl_router_api.dialects.chat.read_request import read_request

QUESTION = [{"role": "user", "content": "What is 2 + 2?"}]


def chat_body(**fields: Any) -> bytes:
    """Returns the JSON of a chat request for the model `router`, with the additional fields `fields`."""
    return json.dumps({"model": "router", "messages": QUESTION, **fields}).encode()


def chat_request(**fields: Any) -> Request:
    """Returns the parsed form of a chat request with the additional fields `fields`.

    Raises ApiError if the chat request is invalid.
    """
    return read_request(chat_body(**fields))
