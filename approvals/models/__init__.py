"""The tables of this room, one file a subject."""

from approvals.models.alerts import Alert
from approvals.models.desk import Delegation, Docket, HeldDecision, Remark, Revision, View
from approvals.models.notices import Channel, Notice, Preference
from approvals.models.policies import Policy, PolicyVersion
from approvals.models.votes import Vote

__all__ = [
    "Alert",
    "Channel",
    "Delegation",
    "Docket",
    "HeldDecision",
    "Notice",
    "Policy",
    "PolicyVersion",
    "Preference",
    "Remark",
    "Revision",
    "View",
    "Vote",
]
