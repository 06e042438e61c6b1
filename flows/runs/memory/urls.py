"""The addresses of memories."""

from django.urls import path

from flows.runs.memory import views

urlpatterns = [
    path("memory", views.entries, name="memory"),
    path("memory/<str:entry>", views.entry_page, name="memory-entry"),
    path("memory/<str:entry>/removal", views.removal, name="memory-removal"),
]
