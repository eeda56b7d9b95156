"""A child never outlives the process that started it, not even a parent killed with SIGKILL.

On Linux the kernel does it (`PR_SET_PDEATHSIG`). Its trap: "parent" means the *thread* that forked, so everything
here must be started from a thread that lives as long as the process, in practice the event loop's main thread.
Elsewhere a tiny process holds the read end of a pipe; the kernel closes the write end whenever the parent ends.
"""

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable

PARENT_PID_VARIABLE = "ALPHAPANDA_PARENT_PID"

_ON_LINUX = sys.platform == "linux"
_PR_SET_PDEATHSIG = 1
# Loaded once here: between fork and exec nothing may import, open or allocate more than it must.
_LIBC = ctypes.CDLL(None, use_errno=True) if _ON_LINUX else None

_GUARD_PROGRAM = """
import os, sys
while os.read(0, 1): pass
try: os.kill(int(sys.argv[1]), int(sys.argv[2]))
except ProcessLookupError: pass
"""


def death_signal_hook(signum: signal.Signals) -> Callable[[], None] | None:
    """A `preexec_fn` that ties the child to this process; None where the kernel cannot (use `start_guard`).

    It must run after any change of user, which clears the setting: `Popen` calls `preexec_fn` last.
    """
    if _LIBC is None:
        return None
    libc, parent = _LIBC, os.getpid()

    def tie() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, int(signum), 0, 0, 0)
        if os.getppid() != parent:  # the parent died between fork and prctl: nobody would tell us
            os._exit(1)

    return tie


def start_guard(pid: int, signum: signal.Signals) -> "subprocess.Popen[bytes]":
    """Starts the process that sends `signum` to `pid` when this process ends. Kill it once `pid` was reaped."""
    return subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", _GUARD_PROGRAM, str(pid), str(int(signum))],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C must not take the guard before the server it guards
    )


def die_with_parent(signum: signal.Signals = signal.SIGKILL) -> None:
    """Called first thing by our own child processes: from now on this process ends when its parent does.

    Does nothing unless the parent set ALPHAPANDA_PARENT_PID (a worker started by hand outlives its shell). The
    variable is taken out of the environment, so that it is not handed on to grandchildren.
    """
    expected = os.environ.pop(PARENT_PID_VARIABLE, None)
    if expected is None:
        return
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, int(signum), 0, 0, 0)
    else:
        threading.Thread(target=_watch_parent, args=(int(expected), signum), daemon=True).start()
    if os.getppid() != int(expected):
        sys.exit("the process that started this one is already gone")


def _watch_parent(expected: int, signum: signal.Signals) -> None:
    while os.getppid() == expected:
        time.sleep(0.5)
    os.kill(os.getpid(), signum)
