"""The step kind `check`."""

from __future__ import annotations

from typing import Any

import pytest

from flows.engine.failures import CheckStopped, ExpressionFailed
from flows.engine.kinds import Done, PureKind
from tests.engine.flows import make_flow, problems_of


def check(value: Any, *rules: dict[str, Any], limit: int = 3) -> Done:
    step = {"kind": "check", "with": {"value": "{{ input.value }}", "rules": list(rules)}}
    node = make_flow({"a": step}, ["start -> a"]).graph.nodes["a"]
    names = {"input": {"value": value, "limit": limit}}
    assert isinstance(node.kind, PureKind)
    return node.kind.evaluate(node.settings, node.render(names), names)


def refused(rule: dict[str, Any]) -> list[str]:
    return problems_of({"a": {"kind": "check", "with": {"value": 1, "rules": [rule]}}}, ["start -> a"])


@pytest.mark.parametrize(
    ("value", "rule", "port"),
    [
        ({"n": 1}, {"type": "schema", "schema": {"required": ["n"]}}, "pass"),
        ({}, {"type": "schema", "schema": {"required": ["n"]}}, "fail"),
        ("abc", {"type": "regex", "pattern": "b"}, "pass"),
        ("abc", {"type": "regex", "pattern": "^b"}, "fail"),
        ("abc", {"type": "regex", "pattern": "b", "forbid": True}, "fail"),
        ("abc", {"type": "length", "max": 3}, "pass"),
        ([1, 2], {"type": "length", "max": 1}, "fail"),
        (5, {"type": "length", "max": 1}, "fail"),
        ("abc", {"type": "contains", "all": ["a", "b"], "none": ["z"]}, "pass"),
        ("abc", {"type": "contains", "any": ["x", "C"]}, "fail"),
        ("abc", {"type": "contains", "any": ["x", "C"], "ignore_case": True}, "pass"),
        (["a"], {"type": "contains", "all": ["a"]}, "pass"),
        (2, {"type": "expression", "expression": "value < input.limit"}, "pass"),
        (4, {"type": "expression", "expression": "value < input.limit"}, "fail"),
        (4, {"type": "expression", "expression": "value < input.limit", "then": "ask"}, "ask"),
    ],
)
def test_it_leaves_by_its_verdict(value, rule, port):
    done = check(value, rule)

    assert done.port == port
    assert done.output["verdict"] == port
    assert bool(done.output["findings"]) is (port != "pass")


def test_the_worst_verdict_wins():
    done = check("abc", {"type": "length", "max": 1, "then": "fail"}, {"type": "length", "max": 2, "then": "ask"})

    assert done.port == "fail"
    assert [finding["then"] for finding in done.output["findings"]] == ["fail", "ask"]


def test_stop_fails_the_run_with_its_message():
    with pytest.raises(CheckStopped, match="never that"):
        check("abc", {"type": "regex", "pattern": "b", "forbid": True, "then": "stop", "message": "never that"})


@pytest.mark.parametrize(
    ("value", "rule", "mended"),
    [
        ("call 0123 now", {"type": "regex", "pattern": "[0-9]+", "forbid": True, "replace": r"\g"}, r"call \g now"),
        ("abcdef", {"type": "length", "max": 3}, "abc"),
        ("a bad word", {"type": "contains", "none": ["bad "]}, "a word"),
        ('```json\n{"n": 1}\n```', {"type": "schema", "schema": {"type": "object", "required": ["n"]}}, {"n": 1}),
        ("  x ", {"type": "expression", "expression": "value == trim(value)", "fix_with": "trim(value)"}, "x"),
        (9, {"type": "expression", "expression": "value < 5", "fix_with": "input.limit"}, 3),
    ],
)
def test_fix_replaces_the_value_and_passes(value, rule, mended):
    done = check(value, {**rule, "then": "fix"})

    assert (done.port, done.output["value"]) == ("pass", mended)
    assert done.output["findings"][0]["then"] == "fix"


def test_what_a_fix_does_not_mend_fails():
    done = check("ab", {"type": "length", "min": 5, "max": 9, "then": "fix"})

    assert done.port == "fail"
    assert done.output["value"] == "ab"


def test_later_rules_see_the_mended_value():
    assert check("abcdef", {"type": "length", "max": 3, "then": "fix"}, {"type": "regex", "pattern": "^abc$"}).port == "pass"


def test_a_message_may_hold_templates():
    done = check(9, {"type": "expression", "expression": "value < 5", "message": "{{ input.value }} is too much"})

    assert done.output["findings"] == [{"rule": "expression", "message": "9 is too much", "then": "fail"}]


def test_an_expression_that_cannot_be_evaluated_fails_the_step():
    with pytest.raises(ExpressionFailed):
        check(None, {"type": "expression", "expression": "value.x"})


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ({"type": "nope"}, "unknown `type` `nope`"),
        ({"type": "regex", "pattern": "(?=x)"}, "cannot be used"),
        ({"type": "regex", "patern": "x"}, "with.rules[0].patern: unknown key `patern`. Did you mean `pattern`?"),
        ({"type": "expression", "expression": "true", "then": "fix"}, "nothing says how to fix it"),
        ({"type": "length", "min": 3, "max": 1}, "`max` 1 is less than `min` 3"),
        ({"type": "schema", "schema": {"type": "x"}}, "this is not JSON Schema"),
        ({"type": "contains"}, "give `all`, `any` or `none`"),
        ({"type": "expression", "expression": "valeu"}, "there is no name `valeu` here"),
    ],
)
def test_rules_that_cannot_work_are_refused_when_saving(rule, said):
    assert any(said in problem for problem in refused(rule)), refused(rule)


def test_a_pattern_never_stalls_it():
    assert check("a" * 100_000 + "b", {"type": "regex", "pattern": "^(a+)+$"}).port == "fail"


# ---------------------------------------------------------------------- personal data


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("Write to ann.lee+x@mail.example.org today", "email"),
        ("Call +49 (30) 1234-5678", "phone"),
        ("Card 4111 1111 1111 1111 is mine", "card"),
        ("IBAN DE89 3704 0044 0532 0130 00", "iban"),
        ("SSN 078-05-1120", "ssn"),
    ],
)
def test_personal_data_is_found_and_never_repeated_in_the_finding(text, kind):
    done = check(text, {"type": "pii"})

    assert done.port == "fail"
    assert [finding["message"] for finding in done.output["findings"]] == [f"personal data: 1 × {kind}"]


@pytest.mark.parametrize(
    "text", ["Order 4111 1111 1111 1112", "GB82 WEST 1234 5698 7654 33", "ann at mail", "in 2024-05-17", "1,234,567"]
)
def test_what_only_looks_like_it_passes(text):
    assert check(text, {"type": "pii", "kinds": ["email", "card", "iban", "phone", "ssn"]}).port == "pass"


def test_personal_data_is_masked_also_inside_objects():
    done = check({"to": ["a@b.example", 5], "n": "+1 202 555 0100"}, {"type": "pii", "then": "fix"})

    assert done.port == "pass"
    assert done.output["value"] == {"to": ["[email]", 5], "n": "[phone]"}


def test_only_the_kinds_that_are_named_count():
    assert check("a@b.example", {"type": "pii", "kinds": ["card"]}).port == "pass"
    assert any("kinds" in problem for problem in refused({"type": "pii", "kinds": ["name"]}))


# ---------------------------------------------------------------------- grounded

SOURCES = [{"text": "The refund of order 77 was paid on Monday by the finance team."}]


def test_a_sentence_that_does_not_stand_in_the_sources_is_named():
    text = "The finance team paid the refund on Monday. The customer lives in Paris with seven cats."

    done = check(text, {"type": "grounded", "sources": SOURCES})

    assert done.port == "fail"
    (finding,) = done.output["findings"]
    assert finding["message"] == "not in the sources: The customer lives in Paris with seven cats."


def test_a_figure_that_does_not_stand_in_the_sources_is_not_grounded():
    assert check("The refund of order 78 was paid.", {"type": "grounded", "sources": SOURCES}).port == "fail"
    assert check("The refund of order 77 was paid.", {"type": "grounded", "sources": SOURCES}).port == "pass"


def test_what_is_not_grounded_is_taken_out():
    text = "The refund was paid on Monday. Everybody celebrated wildly afterwards."

    assert (
        check(text, {"type": "grounded", "sources": SOURCES, "then": "fix"}).output["value"] == "The refund was paid on Monday."
    )


# ---------------------------------------------------------------------- judged


def test_a_check_is_an_effect_only_where_a_model_judges():
    def role(rule):
        step = {"kind": "check", "with": {"value": 1, "rules": [rule]}}
        return make_flow({"a": step}, ["start -> a"]).graph.nodes["a"].role

    assert role({"type": "length", "max": 1}) == "pure"
    assert role({"type": "judge", "route": "r", "rubric": "Polite"}) == "effect"


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ({"type": "judge", "rubric": "x"}, "route"),
        ({"type": "judge", "route": "r"}, "rubric"),
        ({"type": "judge", "route": "r", "rubric": "x", "threshold": 2}, "threshold"),
        ({"type": "judge", "route": "r", "rubric": "x", "then": "fix"}, "nothing says how to fix it"),
        ({"type": "grounded"}, "sources"),
    ],
)
def test_rules_that_could_not_be_applied_are_refused(rule, said):
    assert any(said in problem for problem in refused(rule)), refused(rule)
