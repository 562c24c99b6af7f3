"""The HTTP/1.1 protocol that `serve` uses, with the API's error bodies."""

from __future__ import annotations

from ..dialects.chat.write_error import write_error
from ..errors import ApiError
from ..http1.protocol import BoundedProtocol
from ..http1.refusals import Refusal


class ApiProtocol(BoundedProtocol):
    """A connection whose errors have OpenAI's shape."""

    @staticmethod
    def error_body(refusal: Refusal) -> bytes:
        return write_error(ApiError(refusal.status, refusal.message, code=refusal.code))
