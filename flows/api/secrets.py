"""Secrets of tools and models over HTTP: written, granted and removed; their values are never given."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from ninja import Router, Schema, Status
from pydantic import Field

from flows.access.actions.put_secret import put_secret, remove_secret, reseal, using
from flows.access.rights import Right, require
from flows.api.auth import actor_of
from flows.api.runs import REFUSALS
from flows.api.shapes import Time
from flows.models import Secret

router = Router(tags=["secrets"])


class SecretShape(Schema):
    name: str
    fingerprint: str = Field(description="tells two values apart without telling either")
    rotated_at: Time
    tools: list[str] = Field(description="tools that it is granted to")
    models: list[str] = Field(description="models that it is granted to")
    used_by: list[str] = Field(description="tools and models whose settings name it")


class SecretsShape(Schema):
    items: list[SecretShape]


class Resealed(Schema):
    sealed: int = Field(description="secrets that were sealed under another key")


class SecretIn(Schema, extra="forbid"):
    value: str = Field("", description="empty: the secret keeps the one that it has")
    tools: list[str] = []
    models: list[str] = []


@router.get("/secrets", response={200: SecretsShape, 403: REFUSALS[403]})
def get_secrets(request: HttpRequest) -> Any:
    """All secrets, without their values. Needs the right `catalogue.manage`."""
    require(actor_of(request), Right.MANAGE_CATALOGUE)
    return {"items": [secret_shape(row) for row in Secret.objects.defer("sealed").order_by("name")]}


@router.post("/secrets/resealing", response={200: Resealed} | REFUSALS)
def post_resealing(request: HttpRequest) -> Any:
    """Seals what was sealed under a former key anew, under the newest. Needs the right `catalogue.manage`."""
    return {"sealed": reseal(actor_of(request))}


@router.put("/secrets/{secret_name}", response={200: SecretShape} | REFUSALS)
def put_one_secret(request: HttpRequest, secret_name: str, body: SecretIn) -> Any:
    """Writes a secret, or replaces its value, and grants it to exactly these tools and models. Needs the right `catalogue.manage`."""
    put_secret(actor_of(request), secret_name, body.value, body.tools, body.models)
    return secret_shape(Secret.objects.get(name=secret_name))


@router.delete("/secrets/{secret_name}", response={204: None} | REFUSALS)
def delete_secret(request: HttpRequest, secret_name: str) -> Any:
    """Removes a secret; refused where tools or models name it, naming them."""
    remove_secret(actor_of(request), secret_name)
    return Status(204, None)


def secret_shape(row: Secret) -> dict[str, Any]:
    """A secret as `SecretShape`."""
    names = ("name", "fingerprint", "rotated_at", "tools", "models")
    return {**{name: getattr(row, name) for name in names}, "used_by": using(row.name)}
