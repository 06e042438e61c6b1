"""What of a run's last course still counts in the next one."""

from __future__ import annotations

from typing import Any

import pytest

from flows.engine.courses import Course, Outcome, next_course
from flows.engine.paths import enclosing, last_items
from tests.engine.flows import make_flow


def nothing() -> dict[str, Any]:
    return {"kind": "set", "with": {"values": {}}}


def rows(*said: str) -> list[Outcome]:
    """`path status` each; `failed…` is a failure after which another attempt was to follow."""
    found = []
    for number, each in enumerate(said, start=1):
        path, status = each.split()
        found.append(Outcome(number, path, status.rstrip("…"), not status.endswith("…")))
    return found


def kept(course: Course, said: tuple[str, ...]) -> list[str]:
    return [said[number - 1].split()[0] + ("*" if number in course.reopened else "") for number in course.kept]


def course(flow: Any, *said: str, from_path: str | None = None) -> tuple[list[str], tuple[str, ...]]:
    """The paths that are kept, reopened ones with a star, and those that are redone."""
    found = next_course(flow, rows(*said), from_path)
    return kept(found, said), found.redone


CHAIN = make_flow(
    {"a": nothing(), "b": nothing(), "c": nothing(), "mend": nothing()},
    ["start -> a", "start -> b", "b -> c", "c.error -> mend"],
    input={"type": "object"},
)


def test_what_succeeded_is_kept_and_an_unhandled_failure_is_not() -> None:
    assert course(CHAIN, "a succeeded", "b failed") == (["a"], ())
    assert course(CHAIN, "a succeeded", "b failed…", "b succeeded", "c failed", "mend succeeded") == (["a", "b", "c", "mend"], ())


def test_what_waited_was_skipped_or_was_to_be_tried_again_is_dropped() -> None:
    assert course(CHAIN, "a waiting", "b failed…", "c skipped") == ([], ())


def test_a_step_that_is_redone_takes_with_it_what_comes_after() -> None:
    said = ("a succeeded", "b succeeded", "c failed", "mend succeeded")

    assert course(CHAIN, *said, from_path="b") == (["a"], ("b", "mend"))
    assert course(CHAIN, *said, from_path="c") == (["a", "b"], ("mend",))
    assert next_course(CHAIN, rows(*said), "b").again == ("b", "c", "mend")


def nest(**settings: Any) -> Any:
    inner = {
        "kind": "map",
        "with": {"over": "[1]", "body": {"steps": {"x": nothing(), "y": nothing()}, "edges": ["start -> x", "x -> y"]}},
    }
    body = {"steps": {"in": inner, "z": nothing()}, "edges": ["start -> in", "in -> z"]}
    return make_flow(
        {"each": {"kind": "map", "with": {"over": "[1, 2]", **settings, "body": body}}, "end": nothing()},
        ["start -> each", "each -> end"],
    )


def test_a_container_that_failed_because_of_an_item_is_open_again_before_its_items() -> None:
    said = (
        "each[0].in[0].x succeeded",
        "each[0].in[0].y failed",
        "each[0].in failed",
        "each[1].in[0].x succeeded",
        "each failed",
    )

    assert course(nest(), *said) == (["each*", "each[0].in*", "each[0].in[0].x", "each[1].in[0].x"], ())


def test_a_failure_that_a_map_collects_is_kept() -> None:
    said = ("each open", "each[0].in[0].x failed", "each[0].in failed", "each[1].z failed", "end failed")

    assert course(nest(on_item_error="collect"), *said)[0] == ["each", "each[0].in[0].x", "each[0].in", "each[1].z"]


def test_an_item_that_goes_on_at_a_step_does_again_what_had_failed_it() -> None:
    """Else it would fail at once, by the old failure, before that step."""
    body = {"steps": {"x": nothing(), "y": nothing(), "z": nothing()}, "edges": ["start -> x", "start -> y", "start -> z"]}
    body["steps"]["z"]["on_error"] = "continue"
    flow = make_flow(
        {"each": {"kind": "map", "with": {"over": "[1, 2]", "on_item_error": "collect", "body": body}}}, ["start -> each"]
    )
    said = ("each[0].x succeeded", "each[0].z failed", "each[0].y failed", "each[1].y failed", "each succeeded")

    assert course(flow, *said, from_path="each[0].x")[0] == ["each*", "each[0].z", "each[1].y"]
    assert next_course(flow, rows(*said), "each[0].x").again == ("each[0].x", "each[0].y")


def test_a_container_that_failed_by_itself_begins_anew() -> None:
    assert course(nest(), "each[0].z succeeded", "each failed") == ([], ("each[0].z",))


def test_a_step_of_one_item_reopens_the_containers_around_it() -> None:
    said = ("each[0].in[0].x succeeded", "each[0].in[0].y succeeded", "each[0].in succeeded", "each[0].z succeeded",
            "each[1].in[0].x succeeded", "each[1].in succeeded", "each[1].z succeeded", "each succeeded", "end succeeded")  # fmt: skip

    kept_paths, redone = course(nest(), *said, from_path="each[0].in[0].y")

    assert kept_paths == ["each*", "each[0].in*", "each[0].in[0].x", "each[1].in[0].x", "each[1].in", "each[1].z"]
    assert sorted(redone) == ["each[0].in[0].y", "each[0].z", "end"]


def test_a_container_that_is_redone_stands_for_all_that_is_inside_it() -> None:
    said = ("each[0].in succeeded", "each[0].z succeeded", "each succeeded", "end succeeded")

    assert course(nest(), *said, from_path="each") == ([], ("end", "each"))


@pytest.mark.parametrize(
    ("path", "around"),
    [
        ("a", []),
        ("each[7].polish[2].draft", ["each", "each[7]", "each[7].polish", "each[7].polish[2]"]),
        ("sub/each[0].x", ["sub", "sub/each", "sub/each[0]"]),
        ("error.notify", ["error"]),
    ],
)
def test_a_path_names_what_it_is_inside_of(path: str, around: list[str]) -> None:
    assert list(enclosing(path)) == around


def test_the_last_item_of_each_container_is_found() -> None:
    assert last_items(["a", "each[1].b", "each[12].in[3].c", "each[2].b"]) == {"each": 12, "each[12].in": 3}
