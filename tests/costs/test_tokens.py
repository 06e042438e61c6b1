from __future__ import annotations

import pytest

from flows.costs.tokens import tokens_of_request, tokens_of_text

TEXTS = [
    "The quick brown fox jumps over the lazy dog. " * 40,
    "Отказ от ответственности и другие длинные слова. " * 40,
    "これは日本語の文章です。トークンの数を数えます。" * 40,
    '{"customer": {"name": "A. Smith", "orders": [1, 22, 333]}}\n' * 40,
    "aGVsbG8gd29ybGQhIFRoaXMgaXMgYmFzZTY0Cg" * 20,
    "def f(x):\n    return [i * 2 for i in range(x) if i % 3]\n" * 40,
]


@pytest.mark.parametrize("text", TEXTS)
def test_with_its_margin_it_bounds_a_real_tokenizer(text: str) -> None:
    litellm = pytest.importorskip("litellm")
    real = len(litellm.encode(model="gpt-4o", text=text))
    assert tokens_of_text(text) * 1.1 >= real


def test_messages_schema_and_tools_count() -> None:
    plain = tokens_of_request([{"role": "user", "content": "hello"}])
    assert tokens_of_request([{"role": "user", "content": "hello"}], {"type": "object"}) > plain
    assert tokens_of_request([{"role": "user", "content": "hello"}], None, [{"name": "x"}]) > plain
    assert tokens_of_request([{"role": "user", "content": [{"type": "text", "text": "hello " * 30}]}]) > plain + 40
    assert tokens_of_request([{"role": "user", "content": None}, {"role": "user", "content": "\ud800"}]) > 0
