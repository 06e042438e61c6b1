"""What comes next: the document, its expressions, the planner. Plain Python on plain values; no Django, clock, network or chance."""
