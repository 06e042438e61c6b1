"""Programs that drive the product from outside, with nothing of it: each runs in an environment of its own, over real HTTP."""
