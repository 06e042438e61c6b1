"""The addresses of the pages of runs, and of the receipts of their calls."""

from django.urls import path

from flows.runs.pages import cancellation, listing, receipt, run

urlpatterns = [
    path("runs", listing.listing, name="runs"),
    path("runs/<str:run_id>", run.page, name="run"),
    path("runs/<str:run_id>/cancellation", cancellation.cancellation, name="run-cancellation"),
    path("runs/<str:run_id>/regions/<slug:name>", run.region, name="run-region"),
    path("costs/calls/<str:call_id>", receipt.receipt, name="call"),
]
