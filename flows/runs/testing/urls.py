"""The addresses of testing a draft."""

from django.urls import path

from flows.runs.testing import views

urlpatterns = [
    path("flows/<str:slug>/tests", views.tests, name="flow-tests"),
    path("flows/<str:slug>/tests/extents", views.extents, name="flow-test-extents"),
    path("flows/<str:slug>/tests/<str:run_id>", views.result, name="flow-test"),
    path("flows/<str:slug>/tests/<str:run_id>/answers", views.answers, name="flow-test-answers"),
    path("flows/<str:slug>/pins", views.pins, name="flow-pins"),
]
