"""The addresses of export and import."""

from django.urls import path

from orchestrator.transfer import views

urlpatterns = [
    path("settings/data", views.data, name="settings-data"),
    path("settings/data/export", views.export, name="settings-data-export"),
]
