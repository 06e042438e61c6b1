"""The addresses of starting a run by hand."""

from django.urls import path

from flows.runs.starting.views import run_form

urlpatterns = [path("flows/<str:slug>/run", run_form, name="run-form")]
