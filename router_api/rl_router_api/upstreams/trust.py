"""The certificate authorities that the router trusts. A changed certificate file or folder is read again."""

from __future__ import annotations

import logging
import os
import ssl
from collections.abc import Mapping

from ..accounting.log import log


class Trust:
    """The TLS context for connections to upstreams.

    The environment variable SSL_CERT_FILE replaces the operating system's file of trusted certificate authorities, and
    the environment variable SSL_CERT_DIR replaces the operating system's folder.
    """

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        self._file = environment.get("SSL_CERT_FILE")
        self._paths = [path for path in (self._file, environment.get("SSL_CERT_DIR")) if path]
        self._context = ssl.create_default_context()
        self._state = self._read_state()

    def context(self) -> ssl.SSLContext:
        """Returns the TLS context.

        If a changed file is invalid, or the file or the folder is missing, the router continues to trust the
        certificate authorities that were read before.
        """
        state = self._read_state() if self._paths else self._state
        if state != self._state:
            self._state = state
            self._read()
        return self._context

    def _read(self) -> None:
        try:
            if None in self._state:
                raise FileNotFoundError("no such file")
            context = ssl.create_default_context()
            if self._file:
                # `create_default_context` ignores an invalid file, but this method raises an error for an invalid file.
                context.load_verify_locations(cafile=self._file)
            self._context = context
        except OSError as error:
            # ssl.SSLError is an OSError.
            names = " and ".join(self._paths)
            log(logging.WARNING, f"{names} cannot be read as certificates: {error}. Restore valid PEM certificates.")

    def _read_state(self) -> list[tuple[int, int, int] | None]:
        """Returns the inode, the modification time and the size of each existing path, and None for each missing path.

        The router recognizes a changed file by the inode, the modification time and the size.
        """
        return [_state_of(path) for path in self._paths]


def _state_of(path: str) -> tuple[int, int, int] | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size
