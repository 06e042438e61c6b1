"""The addresses to which others deliver: ``POST /hooks/<id>``. No key and no session: the signature says who it is."""

from __future__ import annotations

from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import reverse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from flows.access.refusals import NotFound, Refusal, TooLarge
from flows.api.problems import refused
from flows.triggers.actions.take_delivery import LARGEST_BODY, Delivery, take_delivery


@csrf_exempt
@require_POST
def hook(request: HttpRequest, trigger_id: str) -> HttpResponse:
    """Starts the run of a signed delivery: 202 with its id; 200 with the same id where the delivery came before."""
    try:
        run, known = take_delivery(trigger_id, _delivery(request))
        if run is None:
            raise NotFound("run of this delivery any more")
    except Refusal as refusal:
        return refused(refusal)
    address = request.build_absolute_uri(reverse("run", kwargs={"run_id": run.public_id}))
    return JsonResponse({"id": run.public_id, "url": address, "state": run.status}, status=200 if known else 202)


def _delivery(request: HttpRequest) -> Delivery:
    try:
        body = request.body
    except RequestDataTooBig:
        raise TooLarge(f"A delivery takes at most {LARGEST_BODY:,} bytes.") from None
    names = ("webhook-id", "webhook-timestamp", "webhook-signature")
    delivery_id, timestamp, signature = (request.headers.get(name, "") for name in names)
    return Delivery(delivery_id, timestamp, signature, body)
