"""Fire drills: what faults do to a flow, rehearsed on stand-ins and told in words."""
