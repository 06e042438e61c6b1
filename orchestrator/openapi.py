"""The OpenAPI document, with the answers that every operation can give beside its own."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from ninja import NinjaAPI
from ninja.openapi.schema import OpenAPISchema
from ninja.operation import Operation

PROBLEM = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/ProblemDocument"}}}
EVERYWHERE = {
    "400": "The request cannot be read",
    "401": "No API key and no session, or one that is not good",
    "403": "A right or a scope of the key is missing",
    "413": "The request is too large",
    "422": "Something in the request needs mending",
}
BY_NAME = {"404": "Something that the address or the body names is not there, or you may not see it"}
OF_CHANGES = {"409": "Something else happened first"}


class DocumentedAPI(NinjaAPI):
    """An API whose document says of each operation how it refuses: as a problem document (RFC 9457)."""

    def get_openapi_operation_id(self, operation: Operation) -> str:
        """The function's name: what a generated client calls it."""
        return operation.view_func.__name__

    def get_openapi_schema(self, *, path_prefix: str | None = None, path_params: dict[str, Any] | None = None) -> OpenAPISchema:
        """Made once in a process, which takes seconds: no address of it depends on a request."""
        if path_prefix not in self._documents:
            self._documents[path_prefix] = self._document(path_prefix, path_params)
        return self._documents[path_prefix]

    @cached_property
    def _documents(self) -> dict[str | None, OpenAPISchema]:
        return {}

    def _document(self, path_prefix: str | None, path_params: dict[str, Any] | None) -> OpenAPISchema:
        schema = super().get_openapi_schema(path_prefix=path_prefix, path_params=path_params)
        for path, ways in schema["paths"].items():
            for method, operation in ways.items():
                also = EVERYWHERE | (BY_NAME if "{" in path or method != "get" else {}) | (OF_CHANGES if method != "get" else {})
                responses = operation["responses"]
                for status, words in also.items():
                    responses.setdefault(status, {"description": words})
                for status, response in responses.items():
                    if int(status) >= 400:
                        response["content"] = PROBLEM
                operation["responses"] = {int(status): responses[status] for status in sorted(responses, key=int)}
        return schema
