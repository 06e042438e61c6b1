"""The addresses of the builder."""

from django.urls import path

from flows.builder.editing import views

urlpatterns = [
    path("flows/<str:slug>/edit", views.edit_page, name="flow-edit"),
    path("flows/<str:slug>/draft", views.draft, name="flow-draft"),
    path("flows/<str:slug>/copies", views.copies, name="flow-copies"),
    path("flows/<str:slug>/draft/inspection", views.inspection, name="draft-inspection"),
    path("flows/<str:slug>/draft/conversion", views.conversion, name="draft-conversion"),
    path("flows/<str:slug>/draft/values", views.values, name="draft-values"),
    path("flows/<str:slug>/draft/previews", views.previews, name="draft-previews"),
]
