"""The key of a model: a variable of the environment, or a secret that is granted to the model."""

from __future__ import annotations

from flows.access.granted import Pool, secrets_granted
from flows.access.redaction import secret_named
from flows.engine.failures import BadKey
from flows.routing.definitions import ModelInfo


async def key_of(model: ModelInfo, pool: Pool | None) -> str:
    """The key that a call of this model sends; empty where the catalogue names none. Read anew for each call, so that a key that is
    replaced, or a grant that is taken back, counts from the next call on. Raises `BadKey`."""
    if model.api_key_secret:
        return (await secrets_granted("model", model.slug, [model.api_key_secret], pool))[model.api_key_secret]
    return key_in(model.api_key_env, model.slug) if model.api_key_env else ""


def key_in(variable: str, slug: str) -> str:
    """The key in this variable of the environment. Raises `BadKey` where it is not set."""
    key = secret_named(variable)
    if not key:
        mend = "Set it where web and workers start, then start them again."
        raise BadKey(f"The environment variable {variable} is not set. It holds the key of {slug}. {mend}")
    return key
