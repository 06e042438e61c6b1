"""What a step that asks a model is set up with: the route, the words, and what the answer is to be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from flows.engine.contradictions import PossibleSchema
from flows.engine.kinds import Settings
from flows.engine.markers import Refers, TemplateText, TemplateValue
from flows.steps.attachments import attached, parts_of


class Message(BaseModel):
    """One turn of a conversation."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    role: Literal["system", "user", "assistant"]
    content: TemplateText


class QuestionSettings(Settings):
    """Either `prompt` or `messages`. With `output`, a JSON Schema, the answer is an object of that form, else text; one that is not is
    sent back up to `repair` times. With `cache` an equal question of the same flow is answered as it was before."""

    route: Annotated[str, Refers("route")] = Field(min_length=1, max_length=100)
    system: TemplateText | None = None
    prompt: TemplateText | None = None
    messages: list[Message] | None = Field(default=None, min_length=1, max_length=200)
    images: TemplateValue = Field(
        default=None, description="Beside the prompt: an address (https or data:image/png;base64,…), or a list of them."
    )
    files: TemplateValue = Field(default=None, description="Beside the prompt: data:application/pdf;base64,…, or a list of them.")
    output: PossibleSchema | None = Field(
        default=None, title="Fields of the answer", description="Without any, the answer is plain text."
    )
    max_output: int | None = Field(default=None, ge=1, le=1_000_000, strict=True)
    temperature: float | None = Field(default=None, ge=0, le=2)
    seed: int | None = Field(default=None, strict=True)
    cache: bool = Field(default=False, strict=True)
    repair: int = Field(default=2, ge=0, le=5, strict=True)

    @model_validator(mode="after")
    def _one_question(self) -> QuestionSettings:
        if (self.prompt is None) == (self.messages is None):
            raise PydanticCustomError("question", "give either `prompt` or `messages`")
        return self

    @property
    def needs(self) -> frozenset[str]:
        """The capabilities that its images and files ask of a model."""
        return frozenset(name for name, given in (("vision", self.images), ("files", self.files)) if given is not None)


def messages_of(rendered: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The conversation that rendered settings begin with. Raises `BadRequest` for an image or a file that cannot be sent."""
    return attached(_conversation(rendered), parts_of(rendered.get("images"), rendered.get("files")))


def _conversation(rendered: Mapping[str, Any]) -> list[dict[str, Any]]:
    system = [{"role": "system", "content": rendered["system"]}] if rendered.get("system") else []
    if rendered.get("messages"):
        return [*system, *rendered["messages"]]
    return [*system, {"role": "user", "content": rendered["prompt"]}]
