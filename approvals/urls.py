"""The addresses of the inbox, of single requests, of policies and of notices."""

from django.urls import path

from approvals.pages import acts, bulk, inbox, notices, policies, request

urlpatterns = [
    path("approvals", inbox.inbox, name="approvals"),
    path("approvals/news", inbox.news, name="approvals-news"),
    path("approvals/bulk", bulk.many, name="approvals-bulk"),
    path("approvals/policies", policies.policy_list, name="policies"),
    path("approvals/policies/new", policies.new_policy, name="policy-new"),
    path("approvals/policies/<slug:slug>", policies.policy_page, name="policy"),
    path("approvals/policies/<slug:slug>/retirement", policies.retirement, name="policy-retirement"),
    path("approvals/health", policies.health, name="approval-health"),
    path("approvals/settings", notices.settings_page, name="approval-settings"),
    path("approvals/channels", notices.channels, name="approval-channels"),
    path("approvals/channels/<str:channel_id>", notices.channel_act, name="approval-channel"),
    path("approvals/<str:request_id>", request.approval, name="approval"),
    path("approvals/<str:request_id>/news", request.approval_news, name="approval-news"),
    path("approvals/<str:request_id>/decisions", request.decisions, name="approval-decisions"),
    *(path(f"approvals/<str:request_id>/{name}", acts.act, {"name": name}, name=f"approval-{name}") for name in acts.ACTS),
]
