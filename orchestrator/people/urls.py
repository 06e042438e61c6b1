"""The addresses of people, teams, roles and keys."""

from django.urls import path

from orchestrator.people import doors, entering, keys, me, views

urlpatterns = [
    path("settings", views.settings_home, name="settings"),
    path("settings/people", views.people, name="settings-people"),
    path("settings/people/invite", views.invite, name="settings-invite"),
    path("settings/invitations/<str:invitation_id>/withdrawal", views.withdrawal, name="settings-withdrawal"),
    path("settings/people/<slug:username>", views.person_page, name="settings-person"),
    path("settings/people/<slug:username>/roles", views.roles_of, name="settings-person-roles"),
    path("settings/people/<slug:username>/deactivation", views.deactivation, name="settings-deactivation"),
    path("settings/people/<slug:username>/reset", views.reset_link, name="settings-reset-link"),
    path("settings/people/<slug:username>/sign-ins/<str:sign_in_id>/end", views.end_sign_in_of, name="settings-sign-in-end"),
    path("settings/people/<slug:username>/sign-ins/end", entering.end_all, name="settings-sign-ins-end"),
    path("settings/sign-in", entering.entering, name="settings-sign-in"),
    path("settings/teams", views.teams, name="settings-teams"),
    path("settings/teams/<slug:slug>/removal", views.team_removal, name="settings-team-removal"),
    path("settings/roles", views.roles, name="settings-roles"),
    path("settings/keys", keys.keys, name="settings-keys"),
    path("settings/keys/<str:key_id>/revocation", keys.revocation, name="settings-key-revocation"),
    path("me", me.me, name="me"),
    path("me/password", me.password, name="me-password"),
    path("me/sign-ins/<str:sign_in_id>/end", me.end, name="me-sign-in-end"),
    path("invitations/<str:secret>", doors.invitation, name="invitation"),
    path("password/forgotten", doors.forgotten, name="password-forgotten"),
    path("password/reset/<str:uid>/<str:token>", doors.reset, name="password-reset"),
]
