"""The addresses of errands."""

from django.urls import path

from flows.runs.errands import views

urlpatterns = [
    path("errands", views.errands, name="errands"),
    path("errands/<str:errand_id>", views.errand_page, name="errand"),
    path("errands/<str:errand_id>/file", views.file, name="errand-file"),
    path("shell/errand", views.in_header, name="errand-in-header"),
]
