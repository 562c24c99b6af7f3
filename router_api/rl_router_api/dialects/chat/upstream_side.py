"""The upstream side of the chat completions dialect: the members of the interface `UpstreamDialect`."""

from .free_fields import costly_setting
from .join_usage import join_usage
from .read_answer import read_answer, read_chunks
from .read_error import read_error
from .read_usage import read_usage
from .reshape import chunks_of, whole_of
from .sizes import max_input_tokens, unsized_part
from .write_request import bounds_output, write_request

path = "/chat/completions"

__all__ = [
    "bounds_output",
    "chunks_of",
    "costly_setting",
    "join_usage",
    "max_input_tokens",
    "path",
    "read_answer",
    "read_chunks",
    "read_error",
    "read_usage",
    "unsized_part",
    "whole_of",
    "write_request",
]
