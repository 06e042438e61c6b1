"""Every button's request can be copied as cURL: each template that posts offers the command, or says here why there is none."""

from __future__ import annotations

import re
from pathlib import Path

TEMPLATES = Path(__file__).resolve().parents[2] / "templates"
OFFERS = re.compile(r"curl_for|copy-curl|copy-as-curl")
NOT_SIGNED_IN = "nobody who is not signed in has a key"
OF_THE_BROWSER = "what one browser, or one person's pages, keep"
WITHOUT = {
    "pages/signin.html": NOT_SIGNED_IN,
    "pages/welcome.html": NOT_SIGNED_IN,
    "people/join.html": NOT_SIGNED_IN,
    "people/forgotten.html": NOT_SIGNED_IN,
    "people/reset.html": NOT_SIGNED_IN,
    "shell/person.html": OF_THE_BROWSER,
    "shell/look.html": OF_THE_BROWSER,
    "people/_look.html": OF_THE_BROWSER,
    "people/_looks.html": OF_THE_BROWSER,
    "pages/kept_form.html": OF_THE_BROWSER,
    "home/_first.html": OF_THE_BROWSER,
    "costs/explorer.html": OF_THE_BROWSER,
    "components/views.html": OF_THE_BROWSER,
    "pages/components/forms.html": "samples",
    "approvals/_rows.html": "leads to approvals/bulk.html, which asks first and has it",
    "home/_broken.html": "leads to runs/bulk.html, which asks first and has it",
    "runs/list.html": "leads to runs/bulk.html, which asks first and has it",
    "flows/list.html": "each flow's own page has it",
    "flows/bulk.html": "each flow's own page has it",
    "tools/kinds.html": "chooses a form; each form has it",
}


def test_each_template_that_posts_offers_the_command() -> None:
    silent = set()
    for path in TEMPLATES.rglob("*.html"):
        text = path.read_text(encoding="utf-8")
        if 'method="post"' in text and "<button" in text and not OFFERS.search(text):
            silent.add(path.relative_to(TEMPLATES).as_posix())

    assert silent == set(WITHOUT), "offer the command with {% curl_for %}, or say here why there is none"
