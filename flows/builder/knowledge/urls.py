"""The addresses of knowledge bases."""

from django.urls import path

from flows.builder.knowledge import views

urlpatterns = [
    path("knowledge", views.bases, name="knowledge"),
    path("knowledge/new", views.new_base, name="knowledge-new"),
    path("knowledge/passages/<str:passage>", views.passage, name="passage"),
    path("knowledge/<slug:slug>", views.base_page, name="knowledge-base"),
    path("knowledge/<slug:slug>/documents", views.add_documents, name="knowledge-add"),
    path("knowledge/<slug:slug>/progress", views.progress, name="knowledge-progress"),
    path("knowledge/<slug:slug>/vectors", views.vectors, name="knowledge-vectors"),
    path("knowledge/<slug:slug>/reindexing", views.reindexing, name="knowledge-reindexing"),
    path("knowledge/<slug:slug>/removal", views.removal, name="knowledge-removal"),
    path("knowledge/<slug:slug>/documents/<str:document>", views.document_page, name="knowledge-document"),
    path("knowledge/<slug:slug>/documents/<str:document>/removal", views.document_removal, name="knowledge-document-removal"),
]
