"""A document that somebody sends with a form, as a file or as text."""

from __future__ import annotations

from typing import Any

from flows.access.refusals import Fault, Invalid

LARGEST_FILE = 1024 * 1024  # bytes, as the document's reader has it


def uploaded(request: Any) -> str:
    """The text of the form's `file`, else its `text`. Raises `Invalid` for none, one that is too large, and one that is no text."""
    file = request.FILES.get("file")
    if file is None:
        text = str(request.POST.get("text", ""))
        if not text.strip():
            raise Invalid(
                "There is no document.", problems=[Fault("", "The document is empty", "Choose a file, or paste a document.")]
            )
        return text.replace("\r\n", "\n")
    if file.size > LARGEST_FILE:
        fault = Fault(file.name[:80], f"has {file.size / 1e6:.1f} MB", "A document has at most 1 MiB; keep data out of it.")
        raise Invalid("The file is too large.", problems=[fault])
    try:
        return str(file.read().decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        fault = Fault(file.name[:80], f"is not UTF-8 at byte {error.start}", "Save it as UTF-8.")
        raise Invalid("The file cannot be read.", problems=[fault]) from None
