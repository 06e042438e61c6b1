"""The doors of the demonstration: bringing it, seeing how far it is, taking it away."""
