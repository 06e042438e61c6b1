"""The address of the general settings."""

from django.urls import path

from orchestrator.general import views

urlpatterns = [path("settings/general", views.general, name="settings-general")]
