"""The page on which a flow is made: its forms, its saving, its problems."""
