"""``/settings/data``: all of the configuration as one file, and what comes in again of such a file."""

from __future__ import annotations

import base64
import binascii
from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import FileResponse, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods

from flows.access.refusals import Fault, Invalid
from flows.access.rights import Right, require
from orchestrator.people.tabs import tabs_for
from orchestrator.transfer.exporting import CONTENTS, NEVER, export_all
from orchestrator.transfer.importing import import_all, preview_import

LARGEST_FILE = 2 * 1024 * 1024  # bytes: it is sent twice, the second time in a form, and the whole of that has a bound


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def data(request: Any) -> HttpResponse:
    """What a file would do is shown first, and done when that is confirmed."""
    require(request.actor, Right.MANAGE_SETTINGS)
    context = {"tabs": tabs_for(request.actor, "settings-data"), "contents": CONTENTS, "never": NEVER, "largest": LARGEST_FILE}
    if request.method != "POST":
        return render(request, "settings/data.html", context)
    try:
        sent = _sent(request)
        if request.POST.get("act") == "import":
            done = import_all(request.actor, sent)
            request.toast(f"Imported: {done.count('new')} new, {done.count('changed')} changed.")
            return redirect("settings-data")
        context |= {"brought": preview_import(request.actor, sent), "sent": base64.urlsafe_b64encode(sent).decode()}
    except Invalid as refusal:
        refused = refusal.problems or [Fault("", refusal.message)]
        return render(request, "settings/data.html", context | {"refused": refused}, status=422)
    return render(request, "settings/data.html", context)


@login_required
@require_GET
def export(request: Any) -> FileResponse:
    """The file itself."""
    return as_file(request.actor)


def as_file(actor: Any) -> FileResponse:
    """The export as an answer that is streamed and kept nowhere. Raises `Forbidden`."""
    name = f"orchestrator-{timezone.now():%Y-%m-%d}.zip"
    response = FileResponse(export_all(actor), as_attachment=True, filename=name, content_type="application/zip")
    response["Cache-Control"] = "no-store"
    return response


def _sent(request: Any) -> bytes:
    """The form's file, or what its page has kept of it. Raises `Invalid`."""
    file = request.FILES.get("file")
    if file is not None and file.size > LARGEST_FILE:
        mend = "By command and over the API it may be larger."
        raise Invalid(problems=[Fault(file.name[:80], f"has {file.size / 1e6:.1f} MB, more than a page takes", mend)])
    try:
        found = file.read() if file is not None else base64.urlsafe_b64decode(request.POST.get("sent", ""))
    except (ValueError, binascii.Error):
        found = b""
    if not found:
        raise Invalid(problems=[Fault("file", "is empty", "Choose the file of an export.")])
    return bytes(found)
