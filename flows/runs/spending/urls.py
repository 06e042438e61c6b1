"""The addresses of what was spent."""

from django.urls import path

from flows.runs.spending.views import costs, export

urlpatterns = [
    path("costs", costs, name="costs"),
    path("costs/export.csv", export, {"form": "csv"}, name="costs-csv"),
    path("costs/export.jsonl", export, {"form": "jsonl"}, name="costs-jsonl"),
]
