"""Defines chunked HTTP bodies that never end, because the framing around the data never ends."""

from __future__ import annotations

ENDLESS_FRAMING = {
    "many trailers": (b"0\r\n", b"a:\r\n" * 256),
    "a trailer's endless name": (b"0\r\n", b"a" * 1024),
    "a trailer's endless value": (b"0\r\nX: ", b"a" * 1024),
    "many trailers after a body with data": (b"4\r\nbody\r\n0\r\n", b"a:\r\n" * 256),
    "a chunk's endless extension": (b"1;", b"a" * 1024),
    "many extensions of a chunk": (b"1", b";a=b" * 256),
    "an extension's endless quoted value": (b'1;a="', b"a" * 1024),
    "a size with endless leading zeros": (b"", b"0" * 1024),
    "a later chunk's endless extension": (b"4\r\nbody\r\n1;", b"a" * 1024),
}
"""The first bytes of each endless body, and the 1024 bytes that the sender then repeats."""
