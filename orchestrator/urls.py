"""The map of addresses: each door brings its own."""

from django.http import HttpRequest, HttpResponse
from django.urls import path

from orchestrator.api import api, unknown_address


def healthz(request: HttpRequest) -> HttpResponse:
    """Answers as soon as this process serves."""
    return HttpResponse("ok\n", content_type="text/plain")


urlpatterns = [
    path("healthz", healthz),
    path("api/v1/", api.urls),
    path("api/<path:rest>", unknown_address),
]
