"""Applying a catalogue document: what it makes, that it does so once, and how it says no."""

from __future__ import annotations

from decimal import Decimal
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from flows.access.actor import Actor, system
from flows.access.refusals import Forbidden, Invalid
from flows.engine.calllimits import CallLimits
from flows.engine.problems import DocumentError
from flows.models import AllowedHost, AuditRow, Budget, Membership, ModelEntry, Person, Price, Route, Team, ToolEntry
from flows.routing.table import Unknown, current_table
from flows.tools.registry import current_tools
from orchestrator.actions.apply_catalogue import Applied, apply_catalogue
from orchestrator.catalogue import tool_kinds
from orchestrator.catalogue_document import CatalogueDocument, parse_catalogue

DEMO = Path("orchestrator/demo_catalogue.yaml")


def parse(text: str | bytes) -> CatalogueDocument:
    return parse_catalogue(text, {kind.slug: kind for kind in tool_kinds()})


def apply(text: str | bytes) -> Applied:
    return apply_catalogue(system("tests", door="cli"), parse(text))


@pytest.mark.django_db
def test_the_demonstrations_catalogue_can_be_applied_and_used() -> None:
    apply(DEMO.read_bytes())

    table, tools = current_table(), current_tools(tool_kinds())
    small, large = table.candidates("balanced")
    assert (small.slug, large.slug) == ("sim-small", "sim-large")
    assert small.simulated
    assert small.price is not None
    assert small.price.input == Decimal("0.25")
    assert small.price.output == Decimal(1)
    assert table.candidates("sim-slow")[0].model == "sim/slow"
    assert table.route("balanced").timeout == 20.0
    assert "invalid_output" in table.route("balanced").fall_back_on
    assert table.allowed_hosts == {"127.0.0.1:9100"}
    with pytest.raises(Unknown, match="nothing"):
        table.candidates("nothing")
    assert tools.broken == {}
    assert tools.spec("refunds.create").repeat == "keyed"
    assert tools.spec("bench.noop").repeat == "freely"
    assert Membership.objects.filter(team__slug="finance", role="approver").count() == 2


@pytest.mark.django_db
def test_applying_twice_changes_nothing() -> None:
    apply(DEMO.read_bytes())
    rows = AuditRow.objects.count(), Price.objects.count()

    assert apply(DEMO.read_bytes()).changes == []
    assert (AuditRow.objects.count(), Price.objects.count()) == rows


@pytest.mark.django_db
def test_a_changed_price_is_a_new_row() -> None:
    text = "models: {{a: {{model: openai/a, price: {{input: {}, output: 2}}}}}}"
    apply(text.format("0.10"))
    apply(text.format("0.1"))
    assert Price.objects.count() == 1
    assert apply(text.format("0.2")).changes == ["price of a: input $0.2, output $2, from now on (catalogue)"]

    assert list(Price.objects.order_by("id").values_list("input", flat=True)) == [Decimal("0.1"), Decimal("0.2")]
    assert current_table().model("a").price.input == Decimal("0.2")  # type: ignore[union-attr]
    apply("models: {a: {model: openai/a2}}")
    assert Price.objects.count() == 2
    assert ModelEntry.objects.get().model == "openai/a2"


@pytest.mark.django_db
def test_a_script_of_faults_that_cannot_be_read_is_refused() -> None:
    with pytest.raises(DocumentError, match="`explode` is no clause of a script"):
        apply("models: {a: {model: sim/a, settings: {script: explode}}}")


ROUTED = "models: {a: {model: openai/a, capabilities: [json]}, b: {model: openai/b}}\nroutes: {r: {candidates: %s}}"


@pytest.mark.django_db
def test_a_changed_route_is_a_new_version() -> None:
    apply(ROUTED % "[a]")
    apply(ROUTED % "[a]")
    apply(ROUTED % "[b, {model: a, when: {max_cost: 0.05, tag: gold}, weight: 2}], strategy: weighted")

    route = Route.objects.get()
    first, second = route.versions.order_by("number")
    assert (route.version, first.number, second.number) == (2, 1, 2)
    assert first.definition["candidates"] == ["a"]
    assert second.definition["candidates"] == ["b", {"model": "a", "weight": 2.0, "when": {"max_cost": "0.05", "tag": "gold"}}]
    found = current_table().route("r")
    assert (found.version, found.strategy, found.models) == (2, "weighted", ["b", "a"])
    assert (found.candidates[1].when.max_cost, found.candidates[1].weight) == (Decimal("0.05"), 2)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("route", "said"),
    [
        ("[]", "routes.r.candidates"),
        ("[a, a]", "`a` stands here twice"),
        ("[a], strategy: best", "`best` is not one of the choices"),
        ("[{model: a, weight: 0}], strategy: weighted", "every weight is 0"),
        ("[{model: a, when: {min_input: 9, max_input: 5}}]", "`min_input` is more than `max_input`"),
        ("[{model: a, when: {colour: red}}]", "unknown key `colour`"),
        ("[a, gone]", "there is no model `gone`"),
        ("[a, b], needs: [json]", "`b` lacks json, which the route needs"),
    ],
)
def test_a_route_that_could_not_work_is_refused(route: str, said: str) -> None:
    with pytest.raises(DocumentError) as refused:
        apply(ROUTED % route)

    assert said in str(refused.value)
    assert not Route.objects.exists()


@pytest.mark.django_db
def test_each_change_is_audited_in_its_transaction() -> None:
    apply("models: {a: {model: openai/a}}\nallowed_hosts: ['10.0.0.1:80']")
    apply("models: {a: {model: openai/b}}")
    assert list(AuditRow.objects.order_by("id").values_list("action", "subject")) == [
        ("model.create", "a"),
        ("host.allow", "10.0.0.1:80"),
        ("model.change", "a"),
    ]


@pytest.mark.django_db
def test_what_leads_nowhere_changes_nothing() -> None:
    with pytest.raises(DocumentError, match=r"routes\.r\.candidates\[1\]: there is no model `zz`"):
        apply("models: {a: {model: sim/a}}\nroutes: {r: {candidates: [a, zz]}}")
    assert not ModelEntry.objects.exists()
    assert not Route.objects.exists()
    apply("routes: {}\nmodels: {a: {model: sim/a}}")
    with pytest.raises(DocumentError, match="name of a model"):
        apply("routes: {a: {candidates: [a]}}")


@pytest.mark.django_db
def test_it_needs_the_right() -> None:
    person = Person.objects.create_person("viewer-1")
    with pytest.raises(Forbidden):
        apply_catalogue(Actor(person=person, door="cli"), parse("models: {a: {model: sim/a}}"))
    Membership.objects.create(person=person, role="owner")
    apply_catalogue(Actor(person=person, door="cli"), parse("models: {a: {model: sim/a}}"))
    assert AuditRow.objects.latest("id").actor == person


@pytest.mark.django_db
def test_budgets_are_made_once_and_members_kept() -> None:
    text = "budgets: [{scope: all, period: day, cost: 120.00, at_limit: stop, warn: [50, 80]}]"
    assert apply(text).changes == ["budget all, day: $120, then stop"]
    assert apply(text).changes == []
    assert Budget.objects.get().cost == 120
    with pytest.raises(Invalid, match="there is no flow 'nobody'"):
        apply("budgets: [{scope: 'flow:nobody', period: day, cost: 1}]")

    apply("teams: {finance: {members: [ann, bob]}}")
    applied = apply("teams: {finance: {members: [ann]}}")
    assert applied.changes == []
    assert any("bob" in warning for warning in applied.warnings)
    assert Team.objects.get().memberships.count() == 2
    assert not Person.objects.get(username="ann").has_usable_password()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("modles: {}", r"unknown key `modles`\. Did you mean `models`"),
        ("models: {a: {model: x}}", r"line 1, column \d+: models\.a\.model: `x` names no provider"),
        (
            "models: {a: {model: sim/x, price: {input: cheap, output: 1}}}",
            r"models\.a\.price\.input: `cheap` is not an amount of money",
        ),
        ("models: {a: {model: sim/x, api_key_env: sk-1234}}", r"the key itself never stands here"),
        ("tools: {t: {kind: htp, effect: write}}", r"tools\.t\.kind: there is no tool kind `htp`\. Did you mean `http`"),
        ("tools: {t: {kind: http, effect: write, url: 'http://x/', methud: GET}}", r"tools\.t\.methud: unknown key `methud`"),
        ("tools: {t: {kind: http, effect: write}}", r"`url` is missing"),
        ("tools: {t: {kind: http, effect: write, repeat: keyed, url: 'http://x/'}}", r"Add `idempotency_header"),
        ("tools: {t: {kind: python, effect: read, arguments: {type: objct}}}", r"tools\.t\.arguments\.type"),
        (
            "tools: {t: {kind: python, effect: read, function: f, arguments: {type: object, required: [a], properties: {a: false}}}}",
            r"tools\.t\.arguments\.\S+: no JSON can match this schema",
        ),
        (
            "tools: {t: {kind: python, effect: read, function: f, result: {type: integer, minimum: 5, maximum: 4}}}",
            r"tools\.t\.result\.\S+: no JSON can match this schema",
        ),
        (
            "models: {a: {model: openai/x, api_key_secret: sk-1234}}",
            r"models\.a\.api_key_secret: this is no name of a secret",
        ),
        ("allowed_hosts: [localhost]", r"allowed_hosts\[0\]: must be host:port"),
        ("a: 1\na: 2", "a"),
        ("- 1", "A catalogue is an object"),
    ],
)
def test_errors_name_place_and_mend(text: str, said: str) -> None:
    with pytest.raises(DocumentError, match=said):
        parse(text)


@pytest.mark.django_db
def test_the_command_prints_what_changed_and_names_the_file(tmp_path: Path) -> None:
    file = tmp_path / "catalogue.yaml"
    file.write_text("models: {a: {model: sim/a, price: {input: 1, output: 1}}}\nbudgets: [{scope: all, period: day, cost: 1}]")
    out, err = StringIO(), StringIO()
    call_command("catalogue", "apply", str(file), stdout=out, stderr=err)
    assert "new model a" in out.getvalue()
    assert "budget all, day" in out.getvalue()

    file.write_text("models: {a: {modl: sim/a}}")
    with pytest.raises(CommandError, match=rf"{file}: line 1, column \d+: models\.a\.modl: unknown key"):
        call_command("catalogue", "apply", str(file))
    with pytest.raises(CommandError, match="cannot be read"):
        call_command("catalogue", "apply", str(tmp_path / "none.yaml"))
    with pytest.raises(CommandError, match="no person named"):
        call_command("catalogue", "apply", str(DEMO), "--as", "nobody")


@pytest.mark.django_db
def test_hosts_and_tools_are_normal_and_plain() -> None:
    apply(
        "allowed_hosts: ['LOCALHOST:80', '[::1]:90', '127.0.0.1:9']\n"
        "tools: {t: {kind: http, effect: read, url: 'http://x/', timeout: 2m}}"
    )
    assert set(AllowedHost.objects.values_list("host", flat=True)) == {"localhost:80", "[::1]:90", "127.0.0.1:9"}
    assert ToolEntry.objects.get().timeout == 120.0
    assert ToolEntry.objects.get().settings == {"url": "http://x/"}


@pytest.mark.django_db
def test_limits_of_models_and_tools_are_kept_and_taken_away() -> None:
    model, tool = "models: {m: {model: sim/small%s}}\n", "tools: {t: {kind: python, effect: read%s}}\n"
    apply(model % ", limits: {in_flight: 8, requests: 60}" + tool % ", max_in_flight: 2")
    assert current_table().limits["m"] == CallLimits("model:m", in_flight=8, requests=60)
    assert current_tools(tool_kinds()).limits["t"] == CallLimits("tool:t", in_flight=2)

    apply(model % "" + tool % "")
    assert "m" not in current_table().limits
    assert "t" not in current_tools(tool_kinds()).limits

    with pytest.raises(DocumentError, match="in_flight"):
        parse(model % ", limits: {in_flight: 0}")
