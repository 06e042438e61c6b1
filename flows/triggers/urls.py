"""The addresses of triggers."""

from django.urls import path

from flows.triggers import views

urlpatterns = [
    path("triggers", views.trigger_list, name="triggers"),
    path("triggers/new", views.new_trigger, name="trigger-new"),
    path("triggers/<str:trigger_id>", views.trigger_page, name="trigger"),
    path("triggers/<str:trigger_id>/pause", views.pause, name="trigger-pause"),
    path("triggers/<str:trigger_id>/removal", views.removal, name="trigger-removal"),
    path("triggers/<str:trigger_id>/secret", views.secret, name="trigger-secret"),
    path("triggers/<str:trigger_id>/firings", views.firings, name="trigger-firings"),
    path("triggers/<str:trigger_id>/firings/<str:firing_id>/replay", views.replay, name="firing-replay"),
    path("triggers/<str:trigger_id>/firings/<str:firing_id>/sample", views.sample, name="firing-sample"),
]
