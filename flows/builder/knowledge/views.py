"""``/knowledge``: knowledge bases, their documents, where these are cut, and what a question finds."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from flows.access.actor import Actor
from flows.access.refusals import Fault, Invalid, Refusal
from flows.access.rights import Right, require
from flows.builder.knowledge.trials import trial_of
from flows.builder.knowledge.uses import flows_searching
from flows.builder.pages.making import require_some_edit, team_of, teams_for
from flows.models import KnowledgeBase
from flows.retrieval.actions.change_base import change_base
from flows.retrieval.actions.create_base import create_base, languages
from flows.retrieval.actions.delete_base import delete_base
from flows.retrieval.actions.delete_document import delete_document
from flows.retrieval.actions.put_document import put_document
from flows.retrieval.actions.reindex_base import reindex_base
from flows.retrieval.reads import (
    base_named,
    bases_for,
    document_named,
    documents_of,
    figures_for,
    models_that_embed,
    passage_named,
    search,
)
from flows.retrieval.searching import Search

SHOWN = 100  # documents of a page
MOST_FILES = 50
FOUND = 5


@require_safe
@login_required
def bases(request: Any) -> HttpResponse:
    """The bases that one may see."""
    actor: Actor = request.actor
    may_edit = Right.EDIT_FLOWS in actor.holdings.everywhere or bool(actor.holdings.teams(Right.EDIT_FLOWS))
    return render(request, "knowledge/list.html", {"bases": figures_for(bases_for(actor)), "may_edit": may_edit})


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def new_base(request: Any) -> HttpResponse:
    """A form for a base. Raises `Forbidden`."""
    actor: Actor = request.actor
    require_some_edit(actor)
    given = request.POST
    problems: tuple[Fault, ...] = ()
    if request.method == "POST":
        try:
            team = team_of(actor, given.get("team", ""))
            base = create_base(
                actor, given.get("slug", "").strip(), given.get("name", ""), team=team, language=given.get("language", "english")
            )
        except Refusal as refusal:
            problems = refusal.problems or (Fault("", refusal.message),)
        else:
            return redirect("knowledge-base", base.slug)
    context = {
        "given": given,
        "problems": problems,
        "languages": languages(),
        "language": given.get("language", "english"),
        "teams": teams_for(actor),
        "everywhere": Right.EDIT_FLOWS in actor.holdings.everywhere,
    }
    return render(request, "knowledge/new.html", context, status=422 if problems else 200)


@require_safe
@login_required
def base_page(request: Any, slug: str) -> HttpResponse:
    """Its documents, and with ``q=`` what that question finds; with ``trial=`` what the run found that asked it. Raises `NotFound`."""
    return render(request, "knowledge/base.html", _page(request, base_named(request.actor, slug)))


@require_safe
@login_required
def progress(request: Any, slug: str) -> HttpResponse:
    """How far indexing is, and the documents as they are now."""
    return render(request, "knowledge/_documents.html", _page(request, base_named(request.actor, slug)))


@require_POST
@login_required
def add_documents(request: Any, slug: str) -> HttpResponse:
    """Files, or a text with a name. Each is taken or refused by itself; what was typed is kept where it is refused."""
    actor: Actor = request.actor
    base = base_named(actor, slug)
    require(actor, Right.EDIT_FLOWS, base.team)
    problems: list[Fault] = []
    added = 0
    files = request.FILES.getlist("files")
    brought = [(file.name or "", file.read()) for file in files[:MOST_FILES]]
    text = request.POST.get("text", "")
    if text.strip():
        brought.append((request.POST.get("source", ""), text.encode()))
    if len(files) > MOST_FILES:
        problems.append(Fault("files", f"only the first {MOST_FILES} were taken", "Add the others after these."))
    if not brought:
        problems.append(Fault("files", "nothing was chosen", "Choose files, or paste a text and name it."))
    for source, data in brought:
        try:
            put_document(actor, base, source, data)
        except Invalid as refusal:
            problems += refusal.problems or [Fault(source, refusal.message)]
        else:
            added += 1
    if problems:
        context = _page(request, base) | {"problems": problems, "added": added, "given": request.POST}
        return render(request, "knowledge/base.html", context, status=422)
    request.toast(f"{added} document{'s are' if added != 1 else ' is'} being indexed.")
    return redirect("knowledge-base", slug)


@require_POST
@login_required
def vectors(request: Any, slug: str) -> HttpResponse:
    """Which model makes the vectors. Raises `Forbidden`, `Invalid`."""
    base = change_base(request.actor, base_named(request.actor, slug), request.POST.get("embedding", ""))
    request.toast(f"Vectors are made by {base.embedding or 'the product'} from now on.")
    return redirect("knowledge-base", slug)


@require_POST
@login_required
def reindexing(request: Any, slug: str) -> HttpResponse:
    """Everything again. Raises `Forbidden`."""
    count = reindex_base(request.actor, base_named(request.actor, slug))
    request.toast(f"{count} documents are being indexed again.")
    return redirect("knowledge-base", slug)


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def removal(request: Any, slug: str) -> HttpResponse:
    """What removing the base takes away, and, once confirmed, that. Raises `Forbidden`."""
    actor: Actor = request.actor
    base = base_named(actor, slug)
    require(actor, Right.EDIT_FLOWS, base.team)
    uses = flows_searching(base.slug)
    if request.method == "POST":
        delete_base(actor, base, [flow.name for flow in uses])
        request.toast(f"{base.name} is removed.")
        return redirect("knowledge")
    (figures,) = figures_for(KnowledgeBase.objects.filter(id=base.id))
    return render(request, "knowledge/removal.html", {"base": base, "figures": figures, "uses": uses})


@require_safe
@login_required
def document_page(request: Any, slug: str, document: str) -> HttpResponse:
    """The text with its cuts: each passage as a search finds and an answer cites it. Raises `NotFound`."""
    base = base_named(request.actor, slug)
    found = document_named(base, document)
    context = {
        "base": base,
        "document": found,
        "passages": found.passages.order_by("n"),
        "may_edit": request.actor.may(Right.EDIT_FLOWS, base.team_id),
    }
    return render(request, "knowledge/document.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def document_removal(request: Any, slug: str, document: str) -> HttpResponse:
    """What removing a document means, and, once confirmed, that. Raises `Forbidden`, `NotFound`."""
    base = base_named(request.actor, slug)
    require(request.actor, Right.EDIT_FLOWS, base.team)
    found = document_named(base, document)
    if request.method != "POST":
        return render(request, "knowledge/document_removal.html", {"base": base, "document": found})
    delete_document(request.actor, base, found)
    request.toast(f"{found.source} is removed; no search finds it any more.")
    return redirect("knowledge-base", slug)


@require_safe
@login_required
def passage(request: Any, passage: str) -> HttpResponse:
    """Where a passage stands in its document: what a citation opens. Raises `NotFound`."""
    found = passage_named(request.actor, passage)
    address = redirect("knowledge-document", found.base.slug, found.document.public_id).url
    return redirect(f"{address}#{found.public_id}")


def _page(request: Any, base: KnowledgeBase) -> dict[str, Any]:
    actor: Actor = request.actor
    query = request.GET.get("q", "").strip()
    after = request.GET.get("after", "")
    rows = documents_of(base, after=after, most=SHOWN + 1)
    (figures,) = figures_for(KnowledgeBase.objects.filter(id=base.id))
    trial = trial_of(actor, base, request.GET["trial"]) if request.GET.get("trial") else None
    hits = trial.hits if trial is not None else search(base, Search(query, FOUND)) if query else []
    return {
        "base": base,
        "figures": figures,
        "documents": rows[:SHOWN],
        "next": rows[SHOWN - 1].source if len(rows) > SHOWN else "",
        "query": query,
        "hits": hits,
        "trial": trial,
        "uses": flows_searching(base.slug),
        "embedders": models_that_embed(),
        "may_edit": actor.may(Right.EDIT_FLOWS, base.team_id),
    }
