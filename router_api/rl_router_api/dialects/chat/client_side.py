"""The client side of the chat completions dialect: the functions of the interface `ClientDialect`."""

from .read_request import read_request
from .write_answer import write_answer
from .write_error import write_error, write_error_event
from .write_stream import as_chunks, write_stream

__all__ = ["as_chunks", "read_request", "write_answer", "write_error", "write_error_event", "write_stream"]
