"""The embedding that comes with the product: vectors of meaning without a network, a key or a cost.

WordLlama's static vectors (mean of the token embeddings of a large model, reduced to 256 dimensions; its wheel holds them).
The library itself would look for its tokenizer in the network, so both files are opened here.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wordllama.inference import WordLlamaInference

DIMENSIONS = 256
_loading = threading.Lock()


Vector = list[float]


def embed(texts: Sequence[str]) -> list[Vector | None]:
    """A vector of length 1 for each text; None for one that says nothing. Work, not waiting: call it in a thread or a worker."""
    if not texts:
        return []
    with _loading:
        inference = _inference()
    vectors = inference.embed(list(texts)).astype("float64")
    lengths = (vectors**2).sum(axis=1) ** 0.5
    return [(vector / length).tolist() if length > 0 else None for vector, length in zip(vectors, lengths, strict=True)]


def as_sql(vector: Vector) -> str:
    """The vector as pgvector reads it."""
    return "[" + ",".join(f"{number:.6g}" for number in vector) + "]"


@cache
def _inference() -> WordLlamaInference:
    # Imported at the first use: numpy and the vectors take 50 MB and half a second that most processes never need.
    from safetensors import safe_open
    from tokenizers import Tokenizer
    from wordllama.inference import WordLlamaInference

    spec = find_spec("wordllama")
    if spec is None or spec.origin is None:
        raise RuntimeError("The package wordllama is not installed.")
    folder = Path(spec.origin).parent
    with safe_open(folder / "weights" / f"l2_supercat_{DIMENSIONS}.safetensors", framework="np") as weights:
        embedding = weights.get_tensor("embedding.weight")
    tokenizer = Tokenizer.from_file(str(folder / "tokenizers" / "l2_supercat_tokenizer_config.json"))
    return WordLlamaInference(embedding, tokenizer)
