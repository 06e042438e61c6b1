"""The addresses of what was spent, and of the price book."""

from django.urls import path

from flows.runs.spending import budgets, pins, prices
from flows.runs.spending.perrun import what_a_run_costs
from flows.runs.spending.views import costs, export
from flows.runs.spending.whatif import what_if

urlpatterns = [
    path("costs", costs, name="costs"),
    path("costs/export.csv", export, {"form": "csv"}, name="costs-csv"),
    path("costs/export.jsonl", export, {"form": "jsonl"}, name="costs-jsonl"),
    path("costs/per-run", what_a_run_costs, name="costs-per-run"),
    path("costs/what-if", what_if, name="costs-what-if"),
    path("costs/views", pins.pins, name="costs-views"),
    path("costs/views/<str:view_id>/removal", pins.removal, name="costs-view-removal"),
    path("budgets", budgets.budgets, name="budgets"),
    path("budgets/edit", budgets.budget, name="budget"),
    path("budgets/holds/<int:hold_id>/release", budgets.release, name="hold-release"),
    path("prices", prices.book, name="prices"),
    path("prices/export.csv", prices.export, name="prices-csv"),
    path("prices/new", prices.new, name="price-new"),
    path("prices/import", prices.importing, name="prices-import"),
    path("prices/rerating", prices.rerating, name="prices-rerating"),
]
