#!/usr/bin/env python
"""The door to every management command. A command that needs the servers gets them: the embedded ones start for it if none
run, and stop with it."""

import os
import sys
from contextlib import ExitStack

ALONE = {"", "check", "collectstatic", "compilemessages", "diffsettings", "help", "startapp", "up", "version"}
ALONE_IN_FLOW = {"schema", "validate"}


def main(arguments: list[str]) -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "orchestrator.settings")
    from orchestrator.environment import BadSetting
    from orchestrator.programs import CannotStart

    try:
        with ExitStack() as stack:
            if needs_servers(arguments):
                from django.conf import settings

                from orchestrator.embedded.servers import running_servers

                stack.enter_context(running_servers(settings.DATA_DIR, holder=f"manage.py {arguments[0]}"))
            from django.core.management import execute_from_command_line

            execute_from_command_line(["manage.py", *arguments])
    except KeyboardInterrupt:
        sys.exit(130)
    except (BadSetting, CannotStart) as error:
        sys.exit(f"{error}")


def needs_servers(arguments: list[str]) -> bool:
    command = next(iter(arguments), "")
    if command in ALONE or command.startswith("-") or "--help" in arguments or "-h" in arguments:
        return False
    return not (command == "flow" and set(arguments[1:2]) <= ALONE_IN_FLOW)


if __name__ == "__main__":
    main(sys.argv[1:])
