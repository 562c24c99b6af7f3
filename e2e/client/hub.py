"""Serves one repository on port 8000 like a model hub, with only the endpoints that downloads of weights use.

python hub.py ORG/NAME FOLDER
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

COMMIT = "0" * 40


class Hub(BaseHTTPRequestHandler):
    """Handles one connection. The class attributes are set once, before serving."""

    protocol_version = "HTTP/1.1"
    repository = ""
    folder = Path()

    def do_GET(self) -> None:
        if self.path.startswith(f"/{self.repository}/resolve/"):
            self._file(self.path.split("/", 5)[5])
        elif self.path.startswith(f"/api/models/{self.repository}/tree/"):
            self._json(200, [_description(file) for file in self._files()])
        elif self.path.startswith(f"/api/models/{self.repository}"):
            siblings = [{"rfilename": file.name} for file in self._files()]
            self._json(200, {"id": self.repository, "sha": COMMIT, "siblings": siblings})
        else:
            self._missing("RepoNotFound")

    do_HEAD = do_GET

    def _files(self) -> list[Path]:
        return sorted(path for path in self.folder.iterdir() if path.is_file())

    def _file(self, name: str) -> None:
        file = self.folder / name.partition("?")[0]
        if not file.is_file():
            self._missing("EntryNotFound")
            return
        self.send_response(200)
        self.send_header("ETag", f'"{_description(file)["oid"]}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("Content-Length", str(file.stat().st_size))
        self.end_headers()
        if self.command == "GET":
            with file.open("rb") as source:
                shutil.copyfileobj(source, self.wfile)

    def _missing(self, code: str) -> None:
        self._json(404, {"error": "not found"}, {"X-Error-Code": code})

    def _json(self, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(data)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(data)

    def log_message(self, format: str, *arguments: Any) -> None:
        """Logs no requests."""


def _description(file: Path) -> dict[str, Any]:
    size = file.stat().st_size
    return {"type": "file", "path": file.name, "size": size, "oid": hashlib.sha1(f"{file}{size}".encode()).hexdigest()}


def main() -> None:
    flags = argparse.ArgumentParser()
    flags.add_argument("repository")
    flags.add_argument("folder", type=Path)
    options = flags.parse_args()
    Hub.repository, Hub.folder = options.repository, options.folder
    ThreadingHTTPServer(("", 8000), Hub).serve_forever()


if __name__ == "__main__":
    main()
