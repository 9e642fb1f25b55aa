"""What a restore is told to take, held against what the endpoint is then asked for: many small files, and one large archive in windows."""

import contextlib
import json
import sqlite3
import subprocess
import time
from decimal import Decimal

import pytest
from harness import MIB
from mounting import wait_until

GIB = 1 << 30
PATIENCE = 3600  # seconds for anything: a hundred thousand archives, or a hundred GiB, take minutes
SMALL = 5  # bytes
# Dear, so that a cent is little.
PRICES = """date = '2026-01-02'
[default]
storage = '1'
uploads = '1'
expedited = '1'
expedited-requests = '1'
standard = '1'
standard-requests = '1'
bulk = '123.45'
bulk-requests = '67.89'
"""


def price(count, size):
    """What `count` bulk retrievals of `size` bytes in all cost by `PRICES`, in US dollars."""
    return Decimal(size) / GIB * Decimal("123.45") + Decimal(count) / 1000 * Decimal("67.89")


def asked(endpoint, after):
    """How many retrieval jobs the endpoint has made after the one numbered `after`, for how many bytes, and the number of the last."""
    with contextlib.closing(sqlite3.connect(f"file:{endpoint.data / 'glacier.db'}?mode=ro", uri=True)) as database:
        query = "SELECT COUNT(*), TOTAL(last - first + 1), MAX(id) FROM jobs WHERE archive IS NOT NULL AND id > ?"
        count, size, last = database.execute(query, (after,)).fetchone()
    return count, int(size), last or after


@pytest.mark.parametrize(
    ("files", "windows", "window"),
    [
        pytest.param(500, 10, 16 * MIB, id="small"),
        pytest.param(100_000, 100, GIB, id="large", marks=pytest.mark.nightly),
    ],
)
def test_a_dry_run_is_exact(serve, mount, tmp_path, files, windows, window):
    """Promise: what `restore --dry-run` says is what the endpoint is then asked for: the jobs, the bytes, and to the cent their price. It
    asks for nothing itself. How long planning takes is printed, and judged by nobody."""
    # Nothing is ever ready.
    endpoint = serve("--admin", "--clock", "virtual")
    prices = tmp_path / "prices.toml"
    prices.write_text(PRICES)
    settings = {"upload_delay": "1h", "tier": "bulk", "snapshot_delay": "off", "prices": prices}
    mounted = mount(endpoint, recall_window=f"{window // MIB}M", **settings)
    small, large = mounted.path / "v" / "small", mounted.path / "v" / "large"
    for n in range(files):
        directory = small / f"d{n // 1000}"
        if n % 1000 == 0:
            directory.mkdir(parents=True)
        (directory / f"file{n}").write_bytes(b"%05d" % (n % 100_000))
    source = tmp_path / "source"
    with source.open("wb") as file:
        file.write(b"the rest is zeros")
        # The last window isn't whole.
        file.truncate(windows * window - 12_345)
    size = source.stat().st_size
    subprocess.run(["cp", "--sparse=always", source, large], check=True, timeout=PATIENCE)
    begun = time.monotonic()
    mounted.archive_and_evict(mounted.path, PATIENCE)
    print(f"\n{files:,} files and {size / GIB:.1f} GiB archived in {time.monotonic() - begun:.0f} s")

    last = 0
    for path, count, length in ((small, files, files * SMALL), (large, windows, size)):
        begun = time.monotonic()
        plan = json.loads(mounted.glacierfs("restore", "--dry-run", "--json", path))
        told = time.monotonic()
        assert asked(endpoint, last) == (0, 0, last), "a dry run asks for nothing"
        mounted.glacierfs("restore", "--yes", path)
        planned = time.monotonic()
        wait_until(lambda n=plan["jobs"], last=last: asked(endpoint, last)[0] >= n, PATIENCE)
        ended = time.monotonic()
        # None comes after these.
        time.sleep(2)
        jobs, asked_for, last = asked(endpoint, last)
        assert (plan["jobs"], plan["job_bytes"]) == (jobs, asked_for) == (count, length)
        cents = round(price(jobs, asked_for) * 100)
        assert round(Decimal(plan["cost"]) / 10_000_000) == cents
        print(
            f"{path.name}: {jobs:,} jobs, {asked_for:,} bytes, {cents} cents told in {told - begun:.2f} s, planned in {planned - told:.2f} s,"
            f" asked for in {ended - planned:.0f} s; memory {mounted.memory()} MiB at most"
        )
    assert "ERROR" not in mounted.log()
