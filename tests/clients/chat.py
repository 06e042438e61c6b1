"""OpenAI's official client on a flow: ``python chat.py BASE KEY MODEL TEXT``. Prints a line of JSON for each chunk, as it comes."""

from __future__ import annotations

import json
import sys

import openai


def main(base: str, key: str, model: str, text: str) -> None:
    client = openai.OpenAI(api_key=key, base_url=base, max_retries=0)
    for chunk in client.chat.completions.create(model=model, messages=[{"role": "user", "content": text}], stream=True):
        choice = chunk.choices[0]
        print(json.dumps({"id": chunk.id, "text": choice.delta.content or "", "ended": choice.finish_reason}), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
