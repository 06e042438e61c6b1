"""What the planner knows of a step kind: its settings, its ports and how it is carried out.

The kinds themselves live in `flows/steps`, one file each, and reach the engine as values.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict

from flows.engine.memories import Keep
from flows.engine.problems import did_you_mean


class Role(StrEnum):
    """How a kind is carried out: see the words of `docs/architecture.md`."""

    PURE = "pure"  # evaluated by the planner, recorded together with what follows
    EFFECT = "effect"  # reaches outside: intent before, result after
    WAIT = "wait"  # parks the run until a person, a time or an event
    STRUCTURE = "structure"  # holds a body that the planner runs
    NOTE = "note"  # on the canvas only


class Settings(BaseModel):
    """The `with` of a step. Unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


@dataclass(frozen=True, slots=True)
class Done:
    """A step's result: its output, the port it leaves by, the changes it makes to the run's state, and what memories keep of it."""

    output: Any = None
    port: str = "done"
    state: Mapping[str, Any] = field(default_factory=dict)
    keeps: Sequence[Keep] = ()


class Kind:
    """Base of every step kind."""

    slug: ClassVar[str]
    label: ClassVar[str]
    role: ClassVar[Role]
    Settings: ClassVar[type[Settings]]
    closing: ClassVar[frozenset[str]] = frozenset()
    """The bare expressions of a structure that are evaluated where its body has ended, with the body's names."""

    # How the builder offers it.
    group: ClassVar[str] = "Logic"
    icon: ClassVar[str] = "kind-unknown"  # of static/icons.svg
    begins_with: ClassVar[Mapping[str, Any]] = {}  # the settings of a new step
    form: ClassVar[Sequence[str]] = ()  # settings that its form always shows, in this order, in front of the others
    ports_from: ClassVar[Sequence[str] | Mapping[str, Any]] = ("done",)
    """The ports in their order: names; or where names stand, `{"from": "with.cases[].port", "plus": ["with.else"]}` or
    `{"keys": "with.outcomes"}`, with `or` for where none stand."""

    def ports(self, settings: Any) -> frozenset[str]:
        """The ports a step with these settings has, `error` excepted."""
        return frozenset({"done"})

    def output_schema(self, settings: Any) -> Mapping[str, Any] | None:
        """The JSON Schema of `steps.<key>.output` where it is known, for the check of references; None where it is not."""
        return None

    def known_output(self, settings: Any, catalogue: Catalogue | None) -> Mapping[str, Any] | None:
        """The same, where the catalogue tells."""
        return self.output_schema(settings)

    def body_names(self, settings: Any) -> Mapping[str, Mapping[str, Any] | None]:
        """The names that expressions in the body of a structure have beside the usual ones, with their schemas where known."""
        return {}

    def role_of(self, settings: Any) -> Role:
        """How a step with these settings is carried out: the kind's role, unless they say otherwise."""
        return self.role

    def routes(self, settings: Any) -> tuple[str, ...]:
        """The routes or models that such a step asks."""
        return ()

    def needs(self, settings: Any) -> frozenset[str]:
        """The capabilities that such a step needs of the models that it asks."""
        return frozenset()

    def local_names(self, settings: Any) -> frozenset[str]:
        """The names that the bare expressions of such a step have beside the usual ones."""
        return frozenset()

    def state_keys(self, settings: Any) -> frozenset[str]:
        """The keys of the run's state that such a step sets."""
        return frozenset()

    def faults(self, settings: Any, around: Surroundings) -> Iterable[Fault]:
        """What is wrong with a step with these settings at its place, beyond their form."""
        return ()


class PureKind(Kind):
    """A kind that is a function of its rendered settings."""

    role = Role.PURE

    def evaluate(self, settings: Any, rendered: Mapping[str, Any], names: Mapping[str, Any]) -> Done:
        """The step's result.

        `settings` are the validated settings, `rendered` the same by field name with templates rendered, `names` the scope in
        which bare expressions are evaluated. Raises a `Failure` (`flows/engine/failures.py`) when the step fails.
        """
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class KnownFlow:
    """What a sub-flow may run: the number of the newest version, whether one is published, and, of that one, the JSON Schema of its
    input and the fields of its output, None where these are not known."""

    newest: int
    published: bool = True
    input: Mapping[str, Any] | None = None
    output: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class KnownPolicy:
    """A rule of who decides that is in force. `problem` says why nobody could decide by it as things stand; it is looked up for those
    that the document names."""

    name: str
    detail: str = ""
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Catalogue:
    """What flows may refer to: routes, models, tools with the JSON Schema of their arguments (None where unknown), other flows,
    knowledge bases and policies (None where it is not known which there are)."""

    routes: frozenset[str] = frozenset()
    models: frozenset[str] = frozenset()
    tools: Mapping[str, Mapping[str, Any] | None] = field(default_factory=dict)
    flows: Mapping[str, KnownFlow] | None = None
    bases: frozenset[str] | None = None
    policies: Mapping[str, KnownPolicy] | None = None


@dataclass(frozen=True, slots=True)
class Fault:
    """What a kind finds wrong with a step. `field` leads there from `with`; a warning does not keep the flow from running."""

    field: tuple[str | int, ...]
    message: str
    mend: str = ""
    warning: bool = False


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What stands around a step when its flow is checked. `downstream` gives the steps that can follow a port of it."""

    key: str
    slugs: Mapping[str, str]
    settings: Mapping[str, Settings]
    downstream: Callable[[str], frozenset[str]]
    catalogue: Catalogue | None
    lenient: bool = False  # what the catalogue lacks is a warning

    def unknown_route(self, field: tuple[str | int, ...], route: str) -> Iterable[Fault]:
        """The fault of a route that the catalogue does not have, if it does not."""
        known = self.catalogue.routes | self.catalogue.models if self.catalogue else frozenset()
        if route not in known:
            yield self.not_in_catalogue(field, f"the route `{route}`", did_you_mean(route, known))

    def not_in_catalogue(self, field: tuple[str | int, ...], what: str, mend: str = "") -> Fault:
        """The fault of a reference that the catalogue does not have, or that cannot be looked up for want of one."""
        if self.catalogue is None:
            return Fault(field, f"{what} cannot be checked without a catalogue", "", warning=True)
        return Fault(field, f"{what} is not in the catalogue", mend, warning=self.lenient)
