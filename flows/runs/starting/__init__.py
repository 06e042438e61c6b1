"""Starting a run by hand: the form that a flow's input schema makes."""
