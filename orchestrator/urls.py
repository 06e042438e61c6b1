"""The map of addresses: each door brings its own."""

from django.http import HttpRequest, HttpResponse
from django.urls import include, path

from flows.api.chat import completions, models
from flows.api.hooks import hook
from orchestrator.api import api, unknown_address
from orchestrator.health.views import health_page


def healthz(request: HttpRequest) -> HttpResponse:
    """Answers as soon as this process serves."""
    return HttpResponse("ok\n", content_type="text/plain")


urlpatterns = [
    path("healthz", healthz),
    path("api/v1/", api.urls),
    path("api/<path:rest>", unknown_address),
    path("hooks/<str:trigger_id>", hook, name="hook"),
    path("v1/chat/completions", completions),
    path("v1/models", models),
    path("", include("orchestrator.pages.urls")),
    path("", include("orchestrator.people.urls")),
    path("", include("orchestrator.retention.urls")),
    path("", include("orchestrator.general.urls")),
    path("", include("orchestrator.transfer.urls")),
    path("", include("orchestrator.demonstration.urls")),
    path("settings/health", health_page, name="settings-health"),
    path("", include("flows.builder.urls")),
    path("", include("flows.builder.editing.urls")),
    path("", include("flows.builder.knowledge.urls")),
    path("", include("flows.runs.starting.urls")),
    path("", include("flows.runs.testing.urls")),
    path("", include("flows.runs.drills.urls")),
    path("", include("flows.runs.spending.urls")),
    path("", include("flows.runs.catalogue.urls")),
    path("", include("flows.runs.toolbox.urls")),
    path("", include("flows.runs.memory.urls")),
    path("", include("flows.runs.errands.urls")),
    path("", include("flows.runs.urls")),
    path("", include("flows.triggers.urls")),
    path("", include("approvals.urls")),
]

handler400 = "orchestrator.pages.problems.bad_request"
handler403 = "orchestrator.pages.problems.permission_denied"
handler404 = "orchestrator.pages.problems.not_found"
handler500 = "orchestrator.pages.problems.failed"
