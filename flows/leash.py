"""A process that helps another ends with it, however that one ends: a flow with its worker, a flow's own server with the flow.

The helper looks once a second whether its parent is still the process that started it. Nothing has to be told on the way out, so a SIGKILL
of the parent is seen, too. A pipe to the parent would be kept open by every other child that inherited it; Linux's
parent-death signal follows the thread that started the child, not the process, and no other system has it.

    python -m flows.leash PARENT MODULE [WORD ...]     `python -m MODULE WORD ...` that ends with process PARENT
"""

from __future__ import annotations

import contextlib
import os
import runpy
import signal
import stat
import sys
import threading
import time
from collections.abc import Callable

EVERY_S = 1.0
GRACE_S = 30.0  # to save what a stage has learned; then the process is killed, and the sweep marks its run


def hold(parent: int, tell: Callable[[str], None] = lambda line: None, grace_s: float = GRACE_S) -> None:
    """Terminate this process when its parent is no longer process `parent`, from a thread in the background.

    Args:
        tell: is told so in one line before. grace_s: between SIGTERM and SIGKILL.
    """
    if os.name == "nt":
        return  # there a child keeps the number of a parent that is gone
    threading.Thread(target=_watch, args=(parent, tell, grace_s), daemon=True, name="leash").start()


def _watch(parent: int, tell: Callable[[str], None], grace_s: float) -> None:
    while os.getppid() == parent:
        time.sleep(EVERY_S)
    _let_go_of_pipes()
    with contextlib.suppress(Exception):
        tell(f"process {parent} that started this one is gone: ending, too")
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(grace_s)
    os.kill(os.getpid(), signal.SIGKILL)


def _let_go_of_pipes() -> None:
    """Print to nowhere what the parent would have read: with nobody at the other end, printing fails, and saving with it."""
    for number in (1, 2):
        with contextlib.suppress(OSError):
            if stat.S_ISFIFO(os.fstat(number).st_mode):
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, number)
                os.close(nowhere)


def main(argv: list[str]) -> None:
    """Run a module on a leash."""
    parent, module, *words = argv
    hold(int(parent), grace_s=5.0)
    sys.argv = [module, *words]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(sys.argv[1:])
