"""What the API does, a command does: each operation stands here with its command, or, where it has none of its own, below, for
`manage.py api`, which reaches them all."""

from __future__ import annotations

import argparse

from django.core.management import get_commands, load_command_class

from orchestrator.api import api

COMMANDS = {
    "get_flow": "flow export",
    "put_flow": "flow import",
    "post_publication": "flow publish",
    "list_flows": "flow list",
    "post_flow_pause": "flow pause",
    "post_archive": "flow archive",
    "post_rollback": "flow rollback",
    "post_restoration": "flow restore",
    "list_runs": "run list",
    "get_run": "run show",
    "post_delivery": "run deliver",
    "list_audit": "audit list",
    "post_run": "flow run",
    "post_drill": "drill",
    "get_drill": "drill",
    "post_cancellation": "run cancel",
    "post_pause": "run pause",
    "post_resumption": "run resume",
    "post_limits": "run limits",
    "get_retry": "run retry",
    "post_retry": "run retry",
    "post_skip": "run skip",
    "post_step_input": "run input",
    "post_bulk": "run many",
    "list_approvals": "approval list",
    "get_approval": "approval show",
    "post_decision": "approval decide",
    "post_claim": "approval claim",
    "post_assignment": "approval assign",
    "post_delegation": "approval delegate",
    "post_comment": "approval comment",
    "post_question": "approval ask",
    "post_away": "approval away",
    "list_policies": "policy list",
    "get_policy": "policy show",
    "put_policy": "policy save",
    "delete_policy": "policy retire",
    "post_policy_trial": "policy try",
    "get_health": "policy health",
    "get_prices": "price list",
    "post_price": "price add",
    "post_import": "price import",
    "post_rerating": "price rerate",
    "get_budgets": "budget list",
    "put_one": "budget set",
    "post_budget_preview": "budget set",
    "list_budget_periods": "budget history",
    "delete_budget": "budget remove",
    "post_hold_release": "budget release",
    "get_killswitch": "killswitch",
    "post_killswitch": "killswitch",
    "list_triggers": "trigger list",
    "post_trigger": "trigger add",
    "get_trigger": "trigger show",
    "patch_trigger": "trigger change",
    "delete_trigger": "trigger remove",
    "post_trigger_pause": "trigger pause",
    "post_trigger_secret": "trigger secret",
    "list_firings": "trigger firings",
    "post_firing": "trigger fire",
    "post_replay": "trigger replay",
    "post_sample": "trigger sample",
    "patch_person": "person change",
    "post_deactivation": "person deactivate",
    "post_invitation": "person invite",
    "list_sign_ins": "person sign-ins",
    "delete_sign_in": "person sign-ins",
    "delete_sign_ins": "person sign-out",
    "get_sign_ins": "person signed-in",
    "post_password_link": "person password-link",
    "post_key": "apikey create",
    "list_people": "person list",
    "get_person": "person list",
    "post_role": "person grant",
    "list_invitations": "person invitations",
    "delete_invitation": "person withdraw",
    "list_teams": "team list",
    "post_team": "team add",
    "delete_team": "team remove",
    "list_keys": "apikey list",
    "delete_key": "apikey revoke",
    "get_secrets": "secret list",
    "put_one_secret": "secret put",
    "delete_secret": "secret remove",
    "post_resealing": "secret reseal",
    "get_installation": "installation show",
    "patch_installation": "installation set",
    "post_mail_test": "installation mail-test",
    "get_export": "installation export",
    "post_import_all": "installation import",
    "get_verification": "audit verify",
    "list_memory": "memory list",
    "get_memory": "memory show",
    "remove_memory": "memory forget",
    "list_retention": "retention show",
    "put_retention": "retention set",
    "delete_retention": "retention drop",
    "post_retention_preview": "retention preview",
    "delete_demonstration": "seed remove",
    "get_demonstration": "seed remove",
    "get_tools": "tool list",
    "put_one_tool": "tool put",
    "delete_tool": "tool remove",
    "get_tool": "tool show",
    "post_accept": "tool accept",
    "get_connections": "connection list",
    "put_one_connection": "connection put",
    "delete_connection": "connection remove",
    "post_connection_check": "connection check",
    "get_costs": "costs report",
    "post_tool_trial": "tool try",
    "get_models": "model list",
    "get_model": "model show",
    "put_one_model": "model put",
    "delete_model": "model remove",
    "post_check": "model check",
    "get_routes": "route list",
    "get_route": "route show",
    "put_one_route": "route put",
    "delete_route": "route remove",
    "get_route_versions": "route versions",
    "get_route_comparison": "route compare",
    "post_route_rollback": "route rollback",
    "post_trial": "route try",
}

BY_API = {
    "delete_channel",
    "delete_cost_view",
    "delete_delegation",
    "delete_my_sign_in",
    "delete_pin",
    "find_passages",
    "get_base",
    "get_comparison",
    "get_costs_per_run",
    "get_document",
    "get_expected_cost",
    "get_me",
    "get_preference",
    "get_state",
    "get_what_if",
    "list_bases",
    "list_calls",
    "list_channels",
    "list_cost_views",
    "list_delegations",
    "list_documents",
    "list_events",
    "list_my_sign_ins",
    "list_notices",
    "list_pins",
    "list_versions",
    "patch_base",
    "patch_me",
    "patch_settings",
    "patch_tool",
    "post_answer",
    "post_base",
    "post_channel",
    "post_channel_secret",
    "post_channel_test",
    "post_comparison",
    "post_document",
    "post_dry_run",
    "post_many",
    "post_reindexing",
    "post_reveal",
    "post_search_trial",
    "post_test",
    "post_trial_cost",
    "post_undo",
    "put_cost_view",
    "put_memory",
    "put_pin",
    "put_preference",
    "remove_base",
    "remove_document",
}


def operations() -> set[str]:
    paths = api.get_openapi_schema(path_prefix="")["paths"]
    return {operation["operationId"] for ways in paths.values() for operation in ways.values()}


def verbs() -> set[str]:
    """Every command of ours, and each of its verbs behind it."""
    found = set()
    for name, app in get_commands().items():
        if app != "orchestrator":
            continue
        found.add(name)
        for action in load_command_class(app, name).create_parser("manage.py", name)._actions:
            if isinstance(action, argparse._SubParsersAction):
                found |= {f"{name} {verb}" for verb in action.choices}
    return found


def test_each_operation_has_a_command() -> None:
    assert operations() == set(COMMANDS) | BY_API, "give the operation a command, or list it among those of `manage.py api`"
    assert not set(COMMANDS) & BY_API


def test_each_command_is_there() -> None:
    assert set(COMMANDS.values()) <= verbs()
