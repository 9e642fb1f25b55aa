"""A vault of 1,000,000 archives, and lists as long as they get (nightly).

The archives, uploads, parts and jobs are rows put into the database of a stopped endpoint: a million requests would say
nothing more and take an hour. Their bytes don't exist, so they can be listed and not retrieved.
"""

import base64
import hashlib
import json
import os
import re
import sqlite3
import statistics
import subprocess
import time

import pytest
from harness import MIB, PROGRAM, REGION, Endpoint, aws_environment

ARCHIVES = int(os.environ.get("GLACIERFS_TEST_ARCHIVES", "1000000"))
OTHERS = 10_000
BOUND = 200 << 20
START = 1_700_000_000_000

pytestmark = pytest.mark.nightly


def identifier(kind, i, length):
    """An ID in the endpoint's shape."""
    digest = hashlib.sha512(f"{kind}{i}".encode()).digest()
    return (f"{START + i:012x}" + base64.urlsafe_b64encode(digest + digest).decode().rstrip("="))[:length]


def fill(path):
    """Gives the vault "million" its rows."""
    database = sqlite3.connect(path)
    [vault] = database.execute("SELECT id FROM vaults WHERE name = 'million'").fetchone()
    now = int(time.time() * 1000)
    root = hashlib.sha256(b"x").digest()
    archives = (
        (identifier("archive", i, 138), vault, f"directory {i // 1000}/file {i}.dat", START + i, i + 1, root)
        for i in range(ARCHIVES)
    )
    with database:
        database.executemany(
            "INSERT INTO archives (archive_id, vault, description, created, size, tree_hash, listed_from)"
            " VALUES (?, ?, ?, ?, ?, ?, 1)",
            archives,
        )
        total = ARCHIVES * (ARCHIVES + 1) // 2
        database.execute(
            "UPDATE vaults SET archives = ?1, bytes = ?2, inventories = 1, inventory_date = ?3,"
            " inventory_archives = ?1, inventory_bytes = ?2, inventory_due = NULL WHERE id = ?4",
            (ARCHIVES, total, now, vault),
        )
        [first] = database.execute("SELECT min(id) FROM archives").fetchone()
        database.executemany(
            "INSERT INTO jobs (job_id, vault, tier, created, completes, archive, first, last)"
            " VALUES (?, ?, 'Bulk', ?, ?, ?, 0, ?)",
            ((identifier("job", i, 92), vault, now, now + 10**9, first + i, i) for i in range(OTHERS)),
        )
        database.executemany(
            "INSERT INTO uploads (upload_id, vault, part_size, created, active) VALUES (?, ?, ?, ?, ?)",
            ((identifier("upload", i, 92), vault, MIB, now, now) for i in range(OTHERS)),
        )
        [[upload, upload_id]] = database.execute("SELECT id, upload_id FROM uploads ORDER BY id LIMIT 1")
        [last] = database.execute("SELECT coalesce(max(id), 0) FROM objects").fetchone()
        numbers = range(last + 1, last + 1 + OTHERS)
        database.executemany(
            "INSERT INTO objects (id, size, tree_hash, data) VALUES (?, ?, ?, x'')", ((n, MIB, root) for n in numbers)
        )
        database.executemany(
            "INSERT INTO parts (upload, first, object) VALUES (?, ?, ?)",
            ((upload, i * MIB, n) for i, n in enumerate(numbers)),
        )
    database.close()
    return upload_id


@pytest.fixture(scope="module")
def million(tmp_path_factory):
    endpoint = Endpoint(tmp_path_factory.mktemp("million") / "data", "--retrieval-delay", "all=0s")
    vault = endpoint.vault("million")
    for i in range(999):
        endpoint.glacier.create_vault(vaultName=f"v{i:03}")
    endpoint.stop()
    began = time.monotonic()
    vault.upload_id = fill(endpoint.data / "glacier.db")
    print(f"\n{ARCHIVES} archives put in within {time.monotonic() - began:.0f} s")
    endpoint.start()
    vault.client = endpoint.glacier
    yield vault
    endpoint.stop()


def test_list_pages(million):
    """1.10: pages of vaults, jobs, uploads and parts, first, middle and last: their times are printed, not judged."""
    lists = {
        "vaults": ("list_vaults", {}, "VaultList", 1000),
        "jobs": ("list_jobs", {"vaultName": "million"}, "JobList", OTHERS),
        "jobs in progress": ("list_jobs", {"vaultName": "million", "statuscode": "InProgress"}, "JobList", OTHERS),
        "uploads": ("list_multipart_uploads", {"vaultName": "million"}, "UploadsList", OTHERS),
        "parts": ("list_parts", {"vaultName": "million", "uploadId": million.upload_id}, "Parts", OTHERS),
    }
    for name, (operation, parameters, key, expected) in lists.items():
        times, count, marker = [], 0, {}
        while True:
            began = time.monotonic()
            page = getattr(million.client, operation)(**parameters, **marker)
            times.append((time.monotonic() - began) * 1000)
            count += len(page[key])
            if not page.get("Marker"):
                break
            marker = {"marker": page["Marker"]}
        assert count == expected
        print(f"{name}: {len(times)} pages, median {statistics.median(times):.1f} ms, longest {max(times):.1f} ms")


@pytest.mark.parametrize("form", ["JSON", "CSV"])
def test_the_inventory_streams(million, tmp_path, form):
    """5.1, 3.29: a job over a million archives is written and read in bounded memory on the server's side."""
    began = time.monotonic()
    job = million.start(Type="inventory-retrieval", Format=form)
    prepared, path, size = time.monotonic() - began, tmp_path / "inventory", 0
    output = million.get_job_output(jobId=job)
    with open(path, "wb") as file:
        for chunk in output["body"].iter_chunks(1 << 20):
            file.write(chunk)
    took, size = time.monotonic() - began - prepared, path.stat().st_size
    print(
        f"{form}: {size >> 20} MiB, {prepared:.1f} s to initiate, {took:.1f} s to download; "
        f"at most {million.endpoint.rss() >> 20} MiB in the server"
    )
    assert million.endpoint.rss() < BOUND
    assert size == million.describe_job(jobId=job)["InventorySizeInBytes"]
    with open(path, "rb") as file:
        if form == "CSV":
            assert sum(1 for _ in file) == ARCHIVES + 1
        else:
            listed = json.load(file)["ArchiveList"]
            assert len(listed) == ARCHIVES
            assert listed[-1]["ArchiveId"] == identifier("archive", ARCHIVES - 1, 138)
            assert sum(archive["Size"] for archive in listed) == ARCHIVES * (ARCHIVES + 1) // 2


def test_glacierfs_reads_it(million, tmp_path):
    """Promise: glacierfs, too, takes an inventory of a million archives in bounded memory, and shows them as files."""
    mnt = tmp_path / "mnt"
    mnt.mkdir()
    environment = aws_environment(million.endpoint.data)
    mount = [
        PROGRAM,
        "mount",
        "--endpoint",
        million.endpoint.url,
        "--region",
        REGION,
        "--state",
        tmp_path / "state",
        mnt,
    ]
    with subprocess.Popen(list(map(str, mount)), env=environment, stdout=subprocess.PIPE) as daemon:
        try:
            while not os.path.ismount(mnt):
                assert daemon.poll() is None
                time.sleep(0.1)
            began = time.monotonic()
            command = [PROGRAM, "inventory", "million", "--timeout", "1200s", "--mount", str(mnt)]
            done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=1300)
            with open(f"/proc/{daemon.pid}/status", encoding="ascii") as file:
                peak = int(re.search(r"VmHWM:\s*(\d+) kB", file.read())[1]) * 1024
            print(f"glacierfs: {time.monotonic() - began:.0f} s, at most {peak >> 20} MiB; {done.stdout.strip()}")
            assert done.returncode == 0, done.stderr
            assert peak < BOUND
            assert len(os.listdir(mnt / "million" / "directory 7")) == 1000
        finally:
            subprocess.run([PROGRAM, "umount", "--drain", "0", str(mnt)], env=environment, timeout=60, check=False)
            daemon.wait(60)
    assert million.endpoint.rss() < BOUND
