"""The address of the retention settings."""

from django.urls import path

from orchestrator.retention import views

urlpatterns = [path("settings/retention", views.retention, name="settings-retention")]
