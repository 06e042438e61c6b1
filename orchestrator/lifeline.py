"""``python -I orchestrator/lifeline.py PARENT SIGNAL COMMAND…``: runs a command that must not outlive PARENT.

For systems whose kernel has no death signal (macOS). It hands on the signals that it gets, and sends SIGNAL to the command
when its own parent is no longer PARENT.
"""

import os
import signal
import subprocess
import sys
import time
from types import FrameType

POLL = 0.1  # seconds
FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT, signal.SIGHUP)


def main(parent: int, death_signal: int, command: list[str]) -> int:
    process = subprocess.Popen(command, close_fds=False)

    def forward(number: int, _frame: FrameType | None) -> None:
        process.send_signal(number)

    for number in FORWARDED:
        signal.signal(number, forward)
    while process.poll() is None:
        if os.getppid() != parent:
            process.send_signal(death_signal)
            return process.wait()
        time.sleep(POLL)
    return process.returncode


if __name__ == "__main__":
    code = main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])
    if code < 0:  # end the same way, so that the watcher tells the truth about how
        signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    sys.exit(code)
