"""How long payloads and events are kept: the rules, what they would remove, and removing it. Figures stay for ever."""
