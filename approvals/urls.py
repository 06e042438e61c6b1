"""The addresses of the inbox and of single requests."""

from django.urls import path

from approvals import views

urlpatterns = [
    path("approvals", views.inbox, name="approvals"),
    path("approvals/news", views.news, name="approvals-news"),
    path("approvals/<str:request_id>", views.approval, name="approval"),
    path("approvals/<str:request_id>/news", views.approval_news, name="approval-news"),
    path("approvals/<str:request_id>/decisions", views.decisions, name="approval-decisions"),
]
