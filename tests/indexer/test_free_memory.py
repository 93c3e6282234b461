"""What is free in memory is shared by all threads and goes back to the system."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

PROGRAM = """
import ctypes, sys, threading
from indexer.memory import share_free_memory, trim

def resident_mb():
    with open("/proc/self/status", encoding="utf-8") as lines:
        return next(int(line.split()[1]) >> 10 for line in lines if line.startswith("RssAnon"))

if sys.argv[1] == "share":
    share_free_memory()
together = threading.Barrier(6)

def work():
    together.wait()
    kept = [bytes(100_000) for _ in range(100)]
    together.wait()

threads = [threading.Thread(target=work) for _ in range(6)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
trim()
print(resident_mb(), file=sys.stderr)
libc = ctypes.CDLL(None)
libc.fdopen.restype = ctypes.c_void_p
file = ctypes.c_void_p(libc.fdopen(1, b"w"))
libc.malloc_info(0, file)
libc.fflush(file)
"""

pytestmark = pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc", reason="other C libraries have no arenas"
)


def count_arenas(how: str, **environment: str) -> tuple[int, int]:
    """Return how many arenas six threads used, and the memory (MB) that stayed after `trim`."""
    others = {name: value for name, value in os.environ.items() if name != "MALLOC_ARENA_MAX"}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, how],
        env=others | environment,
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    return done.stdout.count("<heap nr="), int(done.stderr)


def test_all_threads_share_what_is_free() -> None:
    arenas, resident_mb = count_arenas("share")
    assert arenas == 1
    assert resident_mb < 40  # 60 MB were freed
    assert count_arenas("alone")[0] > 1


def test_the_setting_of_glibc_is_kept() -> None:
    assert count_arenas("share", MALLOC_ARENA_MAX="3")[0] == 3
