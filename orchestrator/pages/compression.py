"""Pages go over the wire compressed.

Only pages: a file is streamed and an answer of the API may have an entity tag by which it is changed, both of which stay as they are.
What the build makes lies there compressed already (`frontend/build.mjs`). That a page's length says nothing of the secrets in it,
Django's middleware sees to: it adds bytes by chance, and the token of forms is masked anew in each page.
"""

from __future__ import annotations

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.middleware.gzip import GZipMiddleware


class CompressionMiddleware(GZipMiddleware):
    """Django's, for answers that are HTML and whole."""

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        if response.streaming or not response.get("Content-Type", "").startswith("text/html"):
            return response
        return super().process_response(request, response)
