"""The text of a document that somebody brings: plain text, Markdown, HTML or PDF."""

from __future__ import annotations

import io
import re

from bs4 import BeautifulSoup
from pypdf import PdfReader
from pypdf.errors import PyPdfError

from flows.access.refusals import Fault, Invalid

MOST_BYTES = 20 * 1024 * 1024
MOST_CHARACTERS = 5_000_000
MOST_PAGES = 2_000
MEDIA_TYPES = {
    ".txt": "text/plain",
    ".md": "text/markdown",
    ".markdown": "text/markdown",
    ".html": "text/html",
    ".htm": "text/html",
    ".pdf": "application/pdf",
}
UNSEEN = ("script", "style", "template", "noscript", "nav", "svg")


class Unreadable(Invalid):
    """The document has no text that can be read."""

    slug = "unreadable-document"


def media_type_of(source: str) -> str:
    """By the ending of its name; what has none that is known is taken for plain text."""
    return MEDIA_TYPES.get(("." + source.rsplit(".", 1)[-1]).lower() if "." in source else "", "text/plain")


def text_of(source: str, media_type: str, data: bytes) -> str:
    """The document's text with its paragraphs, without what only serves its looks. Raises `Unreadable`, naming it and the reason."""
    if len(data) > MOST_BYTES:
        raise _unreadable(source, f"it has {len(data) // 2**20} MB; at most {MOST_BYTES // 2**20} MB are taken", "Split it.")
    if media_type == "application/pdf":
        text = _of_pdf(source, data)
    elif media_type in ("text/plain", "text/markdown", "text/html"):
        text = _decoded(source, data)
        text = _of_html(text) if media_type == "text/html" else text
    else:
        raise _unreadable(source, f"documents of the type {media_type[:80]!r} are not read", "Bring text, Markdown, HTML or PDF.")
    text = re.sub(r"\n{3,}", "\n\n", text.replace("\x00", "").replace("\r\n", "\n").replace("\r", "\n")).strip()
    if not text:
        mend = "A scanned PDF has pictures of text: recognise the text first." if media_type == "application/pdf" else ""
        raise _unreadable(source, "it holds no text", mend)
    if len(text) > MOST_CHARACTERS:
        raise _unreadable(source, f"its text has more than {MOST_CHARACTERS:,} characters", "Split it.")
    return text


def _decoded(source: str, data: bytes) -> str:
    for encoding in ("utf-8-sig", "utf-16") if data[:2] in (b"\xff\xfe", b"\xfe\xff") else ("utf-8-sig",):
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise _unreadable(source, "it is no text in UTF-8", "Save it as UTF-8.")


def _of_html(text: str) -> str:
    soup = BeautifulSoup(text, "html.parser")
    for element in soup(UNSEEN):
        element.decompose()
    for heading in soup(["h1", "h2", "h3", "h4"]):
        heading.insert_before("\n\n")
        heading.insert_after("\n\n")
    lines = (line.strip() for line in soup.get_text("\n").splitlines())
    return "\n".join(lines)


def _of_pdf(source: str, data: bytes) -> str:
    try:
        reader = PdfReader(io.BytesIO(data))
        if reader.is_encrypted and not reader.decrypt(""):
            raise _unreadable(source, "it is locked by a password", "Save it without one.")
        if len(reader.pages) > MOST_PAGES:
            raise _unreadable(source, f"it has more than {MOST_PAGES:,} pages", "Split it.")
        return "\n\n".join(page.extract_text() for page in reader.pages)
    except Unreadable:
        raise
    except (PyPdfError, ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError) as error:
        # What a broken file makes the parser stumble over is a fault of the file.
        raise _unreadable(source, "it is no PDF that can be read", "Open it and save it anew.") from error


def _unreadable(source: str, why: str, mend: str) -> Unreadable:
    return Unreadable(f"{source[:120]} cannot be read: {why}.", problems=[Fault(source[:120], why, mend)])
