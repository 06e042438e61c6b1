"""Images and files beside a prompt: what is sent, what is refused and why."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from flows.costs.tokens import tokens_of_request
from flows.engine.failures import BadRequest
from flows.steps.attachments import attached, needed_for, parts_of
from flows.steps.prompting import messages_of
from tests.engine.flows import make_flow

PNG = "data:image/png;base64," + base64.b64encode(b"\x89PNG").decode()
PDF = "data:application/pdf;base64," + base64.b64encode(b"%PDF").decode()


def test_they_go_with_the_last_message_of_the_user() -> None:
    settings = {
        "route": "r",
        "system": "Be short.",
        "prompt": "What is this?",
        "images": "{{ input.photos }}",
        "files": ["{{ input.bill }}"],
    }
    node = make_flow({"a": {"kind": "model", "with": settings}}, ["start -> a"]).graph.nodes["a"]

    rendered = node.render({"input": {"photos": [PNG, "https://example.com/a.png"], "bill": PDF}})
    system, user = messages_of(rendered)

    assert system == {"role": "system", "content": "Be short."}
    assert [part["type"] for part in user["content"]] == ["text", "image_url", "image_url", "file"]
    assert user["content"][0] == {"type": "text", "text": "What is this?"}
    assert user["content"][1]["image_url"] == {"url": PNG}
    assert user["content"][3]["file"]["file_data"] == PDF
    assert needed_for([system, user]) == {"vision", "files"}
    assert node.kind.needs(node.settings) == {"vision", "files"}


def test_without_any_a_message_stays_a_text() -> None:
    assert messages_of({"prompt": "x", "images": [None], "files": None}) == [{"role": "user", "content": "x"}]
    assert needed_for([{"role": "user", "content": "x"}]) == frozenset()


@pytest.mark.parametrize(
    ("images", "files", "said"),
    [
        ("http://example.com/a.png", None, "images[0] is no image"),
        (["data:image/tiff;base64,AAAA"], None, "images[0] is image/tiff; of images models take"),
        (None, "https://example.com/a.pdf", "files[0] is no file"),
        ([PNG, 7], None, "images[1] is no text"),
        ([PNG] * 21, None, "at most 20"),
    ],
)
def test_what_cannot_be_sent_is_refused_with_its_place(images: Any, files: Any, said: str) -> None:
    with pytest.raises(BadRequest, match=said.replace("[", r"\[").replace("]", r"\]")):
        parts_of(images, files)


def test_they_need_a_message_of_the_user() -> None:
    with pytest.raises(BadRequest, match="no message is the user's"):
        attached([{"role": "system", "content": "x"}], parts_of(PNG, None))


def test_an_image_counts_as_an_image_and_not_as_its_text() -> None:
    large = "data:image/png;base64," + "A" * 1_000_000

    counted = tokens_of_request(attached([{"role": "user", "content": "x"}], parts_of(large, None)))

    assert 2000 < counted < 2200
