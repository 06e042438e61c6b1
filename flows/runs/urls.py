"""The addresses of the pages of runs, and of the receipts of their calls."""

from django.urls import path

from flows.runs.pages import (
    asking,
    comparing,
    control,
    events,
    hidden,
    limits,
    listing,
    many,
    receipt,
    retrying,
    run,
    steering,
    views,
)

urlpatterns = [
    path("runs", listing.listing, name="runs"),
    path("runs/compare", comparing.comparison, name="run-comparison"),
    path("runs/bulk", many.bulk, name="runs-bulk"),
    path("runs/views", views.views, name="runs-views"),
    path("runs/exports", many.exports, name="runs-exports"),
    path("runs/export.csv", many.export, {"form": "csv"}, name="runs-csv"),
    path("runs/export.json", many.export, {"form": "json"}, name="runs-json"),
    path("runs/<str:run_id>", run.page, name="run"),
    path("runs/<str:run_id>/cancellation", control.confirmation, {"act": "cancel"}, name="run-cancellation"),
    path("runs/<str:run_id>/pause", control.confirmation, {"act": "pause"}, name="run-pause"),
    path("runs/<str:run_id>/resumption", control.confirmation, {"act": "resume"}, name="run-resumption"),
    path("runs/<str:run_id>/retry", retrying.retry, name="run-retry"),
    path("runs/<str:run_id>/limits", limits.limits, name="run-limits"),
    path("runs/<str:run_id>/skip", steering.skip, name="run-skip"),
    path("runs/<str:run_id>/input", steering.step_input, name="run-input"),
    path("runs/<str:run_id>/hidden-fields", hidden.hidden_fields, name="run-hidden"),
    path("runs/<str:run_id>/events.jsonl", events.events, name="run-events"),
    path("runs/<str:run_id>/regions/<slug:name>", run.region, name="run-region"),
    path("knowledge/<slug:slug>/trials", asking.trials, name="knowledge-trials"),
    path("costs/calls/<str:call_id>", receipt.receipt, name="call"),
    path("costs/calls/<str:call_id>/usage.json", receipt.raw_usage, name="call-usage"),
]
