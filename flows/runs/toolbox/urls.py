"""The addresses of tools and of the servers that they come from."""

from django.urls import path

from flows.runs.toolbox import making, views

urlpatterns = [
    path("tools", views.tools, name="tools"),
    path("tools/new", making.new_tool, name="tool-new"),
    path("tools/<str:tool>", views.tool, name="tool"),
    path("tools/<str:tool>/edit", making.edit_tool, name="tool-edit"),
    path("secrets", views.secrets, name="secrets"),
    path("connections", views.connections, name="connections"),
    path("connections/<str:server>/check", views.check, name="connection-check"),
]
