"""How one run is driven while an engine holds it in memory. Imports run in this order, so each part knows those before it:

- `lines`: what happens to a run, as lines of its next record; `sheet`: that record while it gathers
- `desk`: what all parts share; `timers`: when steps are to be looked at again
- `inside`: what was done in open containers before; `allowances`, `purse`: the limits on cost, tokens and steps
- `calls`: the way of a step to a model or tool; `steps`: the steps that are being carried out
- `unknowns`, `waits`: what steps wait for, and what people, events and clocks make of it
- `bounds`: the times that containers and waiting steps have as a whole
- `recording`: what the planner decided, written down
- `resting`, `endings`: parking a run; cancelling, stopping and letting go of it
- `news`: what others changed; `sending`: the record on its way, and its verdict
- `reviving`: a run taken up where its journal ends
- `driver`: the owner, who has the planner asked and its decisions carried out
"""
