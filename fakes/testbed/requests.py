"""Chat requests of clients."""

from __future__ import annotations

import json
from typing import Any

from rl_router_api.conversation.request import Request
from rl_router_api.dialects.chat.read_request import read_request

QUESTION = [{"role": "user", "content": "What is 2 + 2?"}]


def chat_body(**fields: Any) -> bytes:
    """Returns the JSON of a chat request to the model `router`, with these fields."""
    return json.dumps({"model": "router", "messages": QUESTION, **fields}).encode()


def chat_request(**fields: Any) -> Request:
    """Returns a chat request with these fields, in the form into which the router parses requests. Raises ApiError."""
    return read_request(chat_body(**fields))
