"""One large archive and retrievals that take hours, on a virtual clock: what reading it here and there, by many, and from one end to the
other asks for.

The mount hears of each retrieval's end from moto's SQS, since the clock by which it would look itself isn't the virtual one.
"""

import os
import subprocess
import threading
import time

import pytest
from harness import MIB, Topic
from mounting import wait_until

WINDOWS = 10
READERS = 200
PATIENCE = 600  # seconds for anything: megabytes a second differ from machine to machine


def marker(at):
    return b"<%d>" % at


def sparse(path, size, window):
    """A file of holes, with its place written here and there: in every window at the beginning, in the middle and close to the end."""
    with path.open("wb") as file:
        for first in range(0, size, window):
            for at in (first, first + window // 2 + 5 * MIB, first + window - 100):
                if at < size:
                    file.seek(at)
                    file.write(marker(at))
        file.truncate(size)


class Disk:
    """A cold archive, the file that it was copied from, and the jobs that reading it makes."""

    def __init__(self, mounted, source, window):
        self.mounted, self.source, self.window, self.path = mounted, source, window, mounted.path / "v" / "disk"
        subprocess.run(["cp", "--sparse=always", source, self.path], check=True, timeout=PATIENCE)
        mounted.archive_and_evict(self.path, PATIENCE)

    def ranges(self):
        """The numbers of the windows that jobs were made for, in their order; each job is for one whole window, with its tree hash."""
        numbers = []
        size = self.source.stat().st_size
        for job in self.mounted.jobs().values():
            first, last = map(int, job["RetrievalByteRange"].split("-"))
            assert first % self.window == 0 and last == min(first + self.window, size) - 1, job
            assert job["SHA256TreeHash"] is not None, job
            numbers.append(first // self.window)
        return sorted(numbers)


@pytest.mark.parametrize(
    "window",
    [pytest.param(64 * MIB, id="640M"), pytest.param(1 << 30, id="10G", marks=pytest.mark.nightly)],
)
def test_a_large_archive(serve, moto, mount, tmp_path, window):
    """Promise: 1 MiB in the middle of an archive of ten windows costs one of them; two hundred readers of one place cause one job; and
    who reads all of it, with the first window here, waits once for all the others, each of which is asked for once, before they get there."""
    # The last one isn't whole.
    size = WINDOWS * window - 12_345
    topic = Topic(moto, f"windows-{window}")
    endpoint = serve("--sns-endpoint", moto, "--admin", "--clock", "virtual")
    mounted = mount(endpoint, notify=f"sqs:{topic.queue}", recall_window=f"{window // MIB}M", cache_size=f"{4 * size}")
    mounted.publish_to(topic)
    source = tmp_path / "source"
    sparse(source, size, window)
    disk = Disk(mounted, source, window)
    assert disk.ranges() == []

    # 1 MiB in the middle.
    middle = WINDOWS // 2 * window + window // 2 + 5 * MIB
    found = []

    def look():
        with open(disk.path, "rb", buffering=0) as file:
            found.append(os.pread(file.fileno(), MIB, middle))

    looking = threading.Thread(target=look)
    looking.start()
    wait_until(disk.ranges)
    endpoint.advance("3h")
    looking.join(timeout=1)
    assert looking.is_alive(), "it takes hours"
    endpoint.advance("3h")
    looking.join(PATIENCE)
    assert [len(data) for data in found] == [MIB] and found[0].startswith(marker(middle))
    assert disk.ranges() == [WINDOWS // 2]

    # Two hundred in another window.
    readers = [subprocess.Popen(["head", "-c", "100000", disk.path], stdout=subprocess.DEVNULL) for _ in range(READERS)]
    wait_until(lambda: len(disk.ranges()) > 1)
    assert all(reader.poll() is None for reader in readers)
    endpoint.advance("6h")
    assert all(reader.wait(PATIENCE) == 0 for reader in readers)
    assert disk.ranges() == [0, WINDOWS // 2]

    # All of it. That the first window is here doesn't keep the others from being asked for ahead.
    begun = time.monotonic()
    all_of_it = subprocess.Popen(["cmp", source, disk.path])
    wait_until(lambda: disk.ranges() == list(range(WINDOWS)), PATIENCE)
    assert all_of_it.poll() is None, "it waits for the second window"
    endpoint.advance("6h")
    assert all_of_it.wait(PATIENCE) == 0
    took = time.monotonic() - begun
    assert disk.ranges() == list(range(WINDOWS)), "each window once"
    print(f"\nread through in {took:.0f} s, {size / took / 1e6:.0f} MB/s; memory {mounted.memory()} MiB at most")
    assert "WARN" not in mounted.log() and "ERROR" not in mounted.log()
