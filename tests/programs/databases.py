"""sqlite on a file: databases.py FILE JOURNAL_MODE [GLACIERFS]. A writer and a reader at the same time; a writer that is killed,
and what is found after that; and, with the program, a database that is cold."""

import os
import signal
import sqlite3
import subprocess
import sys

WRITER = """
import sqlite3, sys
db = sqlite3.connect(sys.argv[1], timeout=60, isolation_level=None)
db.execute("pragma synchronous=normal")
for n in range(int(sys.argv[2]), int(sys.argv[3])):
    db.execute("begin immediate")
    db.execute("insert into pairs values (?, ?)", (n, "left" * 50))
    db.execute("insert into pairs values (?, ?)", (n, "right" * 50))
    db.execute("update total set rows = rows + 2")
    db.execute("commit")
    print(n, flush=True)
"""


def writer(path, first, end):
    return subprocess.Popen([sys.executable, "-c", WRITER, path, str(first), str(end)], stdout=subprocess.PIPE, text=True)


def look(db):
    """All of a transaction is there, or nothing of it."""
    rows, total = db.execute("select (select count(*) from pairs), rows from total").fetchone()
    assert rows == total and rows % 2 == 0, (rows, total)
    return rows


def check(path):
    db = sqlite3.connect(path, timeout=60)
    (result,) = db.execute("pragma integrity_check").fetchone()
    assert result == "ok", result
    rows = look(db)
    db.close()
    return rows


path, mode, program = sys.argv[1], sys.argv[2], sys.argv[3]
db = sqlite3.connect(path)
assert db.execute(f"pragma journal_mode={mode}").fetchone() == (mode,)
db.execute("create table pairs (n integer, text text)")
db.execute("create index by_n on pairs (n)")
db.execute("create table total (rows integer)")
db.execute("insert into total values (0)")
db.commit()
db.close()

# Beside each other.
process = writer(path, 0, 150)
db = sqlite3.connect(path, timeout=60)
seen = 0
while process.poll() is None:
    now = look(db)
    assert now >= seen, (now, seen)
    seen = now
db.close()
assert process.returncode == 0
process.stdout.close()
assert check(path) == 300

# Killed in the middle: what was committed is there.
for kill in range(3):
    start = check(path) // 2
    process = writer(path, start, 1_000_000)
    for line in process.stdout:
        if int(line) >= start + 20 + 7 * kill:
            break
    process.send_signal(signal.SIGKILL)
    rest = process.stdout.read().split()
    process.wait()
    process.stdout.close()
    acknowledged = int(rest[-1] if rest else line) + 1
    found = check(path) // 2
    assert acknowledged <= found <= acknowledged + 1, (acknowledged, found)

# Cold, read and written.
if program:
    directory = os.path.dirname(path)
    for action in "flush", "evict":
        subprocess.run([program, action, directory], check=True, stdout=subprocess.DEVNULL)
    before = os.getxattr(path, "user.glacierfs.state")
    assert before == b"archived", before
    rows = check(path)
    for action in "flush", "evict":
        subprocess.run([program, action, directory], check=True, stdout=subprocess.DEVNULL)
    process = writer(path, rows // 2, rows // 2 + 10)
    process.communicate()
    assert process.returncode == 0
    assert check(path) == rows + 20
