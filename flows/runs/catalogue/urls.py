"""The addresses of models and routes."""

from django.urls import path

from flows.runs.catalogue import editing, history, trying
from flows.runs.catalogue.views import models, route_view

urlpatterns = [
    path("models", models, name="models"),
    path("models/new", editing.model, name="model-new"),
    path("models/<str:model>", editing.model, name="model"),
    path("routes/new", editing.route, name="route-new"),
    path("routes/<str:route>", route_view, name="route"),
    path("routes/<str:route>/edit", editing.route, name="route-edit"),
    path("routes/<str:route>/versions", history.versions, name="route-versions"),
    path("routes/<str:route>/rollback", history.rollback, name="route-rollback"),
    path("routes/<str:route>/trials", trying.trials, name="route-trials"),
]
