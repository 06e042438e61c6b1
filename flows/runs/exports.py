"""Lists as files: CSV, or JSON with one object a line. Read and sent in pieces, so that a year of rows needs no memory."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import AsyncIterator, Iterable
from typing import Any

from django.http import StreamingHttpResponse

Line = dict[str, Any]
"""The cells of one line by name; the names of the first line are the head of the file."""


def download(lines: AsyncIterator[Line], form: str, name: str) -> StreamingHttpResponse:
    """An answer that is kept as a file: `form` is ``csv`` or ``json``, `name` what it is called before its ending."""
    return as_file(_written(lines, form), form, name)


def as_file(text: AsyncIterator[str] | AsyncIterator[bytes], form: str, name: str) -> StreamingHttpResponse:
    """The same of what is written already."""
    kind = "text/csv; charset=utf-8" if form == "csv" else "application/x-ndjson"
    response = StreamingHttpResponse(text, content_type=kind)
    response["Content-Disposition"] = f'attachment; filename="{name}.{"csv" if form == "csv" else "jsonl"}"'
    return response


def written(lines: Iterable[Line], form: str, *, head: bool) -> str:
    """Lines as text; for CSV, with `head`, the names of the cells before them."""
    if form != "csv":
        return "".join(f"{json.dumps(line)}\n" for line in lines)
    text = io.StringIO()
    writer = csv.writer(text)
    for line in lines:
        if head:
            head = False
            writer.writerow(line)
        writer.writerow(_safe(value) for value in line.values())
    return text.getvalue()


async def _written(lines: AsyncIterator[Line], form: str) -> AsyncIterator[str]:
    head = True
    async for line in lines:
        yield written((line,), form, head=head)
        head = False


def _safe(value: Any) -> Any:
    """A cell that no spreadsheet takes for a formula."""
    return f"'{value}" if isinstance(value, str) and value[:1] in {"=", "+", "-", "@", "\t", "\r"} else value
