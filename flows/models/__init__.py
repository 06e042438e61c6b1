"""The tables, one file a subject."""

from flows.models.access import ApiKey, AuditRow, Invitation, Membership, Person, Role, SignIn, Team
from flows.models.budgets import Budget, BudgetHold, BudgetPeriod
from flows.models.catalogue import Adjustment, AllowedHost, MCPServer, ModelEntry, Price, Route, RouteVersion, ToolEntry
from flows.models.definitions import Flow, FlowVersion, Pin
from flows.models.demonstration import Filling, Seeded
from flows.models.drills import Drill
from flows.models.errands import Errand, ErrandPiece
from flows.models.installation import Installation
from flows.models.knowledge import KnowledgeBase, KnowledgeDocument, Passage
from flows.models.memory import MemoryChange, MemoryEntry
from flows.models.retention import RetentionRule
from flows.models.runs import Attempt, Call, Delivery, Event, Intervention, Request, Run, RunPass, ToolJob, Worker
from flows.models.seals import AuditSeal
from flows.models.sums import DaySum, RunSum, StepSum, SummedZone, TagSum, UnsummedCall
from flows.models.switch import KillSwitch
from flows.models.triggers import Firing, Trigger
from flows.models.vault import Connection, Secret
from flows.models.views import PinnedView

__all__ = [
    "Adjustment",
    "AllowedHost",
    "ApiKey",
    "Attempt",
    "AuditRow",
    "AuditSeal",
    "Budget",
    "BudgetHold",
    "BudgetPeriod",
    "Call",
    "Connection",
    "DaySum",
    "Delivery",
    "Drill",
    "Errand",
    "ErrandPiece",
    "Event",
    "Filling",
    "Firing",
    "Flow",
    "FlowVersion",
    "Installation",
    "Intervention",
    "Invitation",
    "KillSwitch",
    "KnowledgeBase",
    "KnowledgeDocument",
    "MCPServer",
    "Membership",
    "MemoryChange",
    "MemoryEntry",
    "ModelEntry",
    "Passage",
    "Person",
    "Pin",
    "PinnedView",
    "Price",
    "Request",
    "RetentionRule",
    "Role",
    "Route",
    "RouteVersion",
    "Run",
    "RunPass",
    "RunSum",
    "Secret",
    "Seeded",
    "SignIn",
    "StepSum",
    "SummedZone",
    "TagSum",
    "Team",
    "ToolEntry",
    "ToolJob",
    "Trigger",
    "UnsummedCall",
    "Worker",
]
