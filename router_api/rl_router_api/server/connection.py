"""The HTTP/1.1 connection handler of the router API's server, with error bodies in OpenAI's format."""

from __future__ import annotations

from ..dialects.chat.write_error import write_error
from ..errors import ApiError
from ..http1.connection import HttpConnection
from ..http1.refusals import Refusal


class ApiConnection(HttpConnection):
    """An HTTP/1.1 connection that uses OpenAI's format for errors about invalid, unsupported or too large requests."""

    @staticmethod
    def error_body(refusal: Refusal) -> bytes:
        return write_error(ApiError(refusal.status, refusal.message, code=refusal.code))
