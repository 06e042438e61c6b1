"""The addresses of models and routes."""

from django.urls import path

from flows.runs.catalogue.views import models, route_view

urlpatterns = [
    path("models", models, name="models"),
    path("routes/<str:route>", route_view, name="route"),
]
