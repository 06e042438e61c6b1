"""Scripts that drive a browser through an installation as a newcomer would: `make first-minutes` and `make screenshots`."""
