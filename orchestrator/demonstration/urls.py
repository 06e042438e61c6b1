"""The address of the demonstration's settings."""

from django.urls import path

from orchestrator.demonstration import views

urlpatterns = [path("settings/demonstration", views.demonstration, name="settings-demonstration")]
