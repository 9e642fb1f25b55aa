"""POSIX locks on ranges of a file, between processes: locks.py FILE."""

import fcntl
import os
import struct
import sys


def locked(file, kind, start, length):
    """Tries to lock, without waiting."""
    try:
        fcntl.lockf(file, kind | fcntl.LOCK_NB, length, start)
        return True
    except BlockingIOError:
        return False


with open(sys.argv[1], "w+b") as file:
    assert locked(file, fcntl.LOCK_EX, 100, 100)
    child = os.fork()
    if child == 0:
        with open(sys.argv[1], "r+b") as other:
            good = (
                locked(other, fcntl.LOCK_EX, 0, 100)
                and locked(other, fcntl.LOCK_EX, 200, 0)
                and not locked(other, fcntl.LOCK_SH, 150, 1)
            )
            # Who holds it.
            wanted = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 150, 1, 0)
            kind, _, start, length, pid = struct.unpack("hhqqi4x", fcntl.fcntl(other, fcntl.F_GETLK, wanted))
            good = good and (kind, start, length, pid) == (fcntl.F_WRLCK, 100, 100, os.getppid())
            os._exit(0 if good else 1)
    _, status = os.waitpid(child, 0)
    assert status == 0
    # The child's locks ended with it.
    assert locked(file, fcntl.LOCK_EX, 0, 0)
