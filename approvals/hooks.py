"""What the reconciler does for approvals at each look, in this order."""

from approvals.actions.hold import carry_out_held
from approvals.alerts import raise_alerts
from approvals.deadlines import expire_due
from approvals.ladder import climb_due
from approvals.notices.sending import send_due
from approvals.reports import send_reports
from approvals.taking_up import take_up_new

HOOKS = [take_up_new, carry_out_held, expire_due, climb_due, raise_alerts, send_reports, send_due]
