"""Lists as files: CSV, or JSON with one object a line. Read and sent in pieces, so that a year of rows needs no memory."""

from __future__ import annotations

import csv
import json
from collections.abc import AsyncIterator
from typing import Any

from django.http import StreamingHttpResponse

Line = dict[str, Any]
"""The cells of one line by name; the names of the first line are the head of the file."""


def download(lines: AsyncIterator[Line], form: str, name: str) -> StreamingHttpResponse:
    """An answer that is kept as a file: `form` is ``csv`` or ``json``, `name` what it is called before its ending."""
    kind = "text/csv; charset=utf-8" if form == "csv" else "application/x-ndjson"
    response = StreamingHttpResponse(_written(lines, form), content_type=kind)
    response["Content-Disposition"] = f'attachment; filename="{name}.{"csv" if form == "csv" else "jsonl"}"'
    return response


class _Echo:
    """A file that hands back what is written, so that lines are made as they are sent."""

    def write(self, text: str) -> str:
        return text


async def _written(lines: AsyncIterator[Line], form: str) -> AsyncIterator[str]:
    writer = csv.writer(_Echo())
    first = True
    async for line in lines:
        if form != "csv":
            yield json.dumps(line) + "\n"
            continue
        if first:
            first = False
            yield writer.writerow(line)
        yield writer.writerow(_safe(value) for value in line.values())


def _safe(value: Any) -> Any:
    """A cell that no spreadsheet takes for a formula."""
    return f"'{value}" if isinstance(value, str) and value[:1] in {"=", "+", "-", "@", "\t", "\r"} else value
