"""Tools are called by a real engine here, as in `tests/execution`."""

from tests.execution.conftest import add_tool, drive, models_loaded

__all__ = ["add_tool", "drive", "models_loaded"]
