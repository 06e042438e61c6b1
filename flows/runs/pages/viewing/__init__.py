"""A run as one request looks at it, in layers: each module's class knows those before it (choices, rights, steps, head, tabs)."""
