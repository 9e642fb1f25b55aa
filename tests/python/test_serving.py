"""`glacierfs serve` as a process: its data directory, kills, and load."""

import concurrent.futures
import json
import random
import subprocess
import threading
import time

import botocore.exceptions
import pytest
from harness import MIB, PROGRAM, finished, tree_hash

UPLOADERS = 64


def test_a_second_server_is_refused(endpoint):
    """Promise: one server at a time uses a data directory; the key in it is for its owner alone."""
    command = [PROGRAM, "serve", "--data", endpoint.data, "--listen", "127.0.0.1:0"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20)
    assert done.returncode != 0 and "is in use by another glacierfs" in done.stderr
    assert (endpoint.data / "credentials").stat().st_mode & 0o777 == 0o600


@pytest.mark.load
def test_load_and_kill(serve, request):
    """Promise: with 64 uploaders at work and a kill in the middle, every archive that got its 201 is there and right.

    3.19, 3.22, 3.24, 5.6. With --nightly they work for a minute.
    """
    half = 30 if request.config.getoption("--nightly") else 8
    seed = random.randrange(1 << 32)
    print("seed", seed)
    endpoint = serve("--retrieval-delay", "all=0s", "--inventory-interval", "0s")
    vault = endpoint.vault("load")
    pool = random.Random(seed).randbytes(2 * MIB)
    acknowledged, lost = [{} for _ in range(UPLOADERS)], [0] * UPLOADERS
    killed, stop = threading.Event(), threading.Event()

    def upload(worker):
        dice, mine = random.Random(seed + worker), acknowledged[worker]
        client = endpoint.client()
        while not stop.is_set():
            first = dice.randrange(MIB)
            size = dice.choice([1, 100, 4096, 65536, 65537, 300_000, MIB])
            try:
                if dice.random() < 0.05:
                    mine[in_parts(client, pool[first : first + MIB], dice.randrange(1, MIB))] = (first, None)
                else:
                    body = pool[first : first + size]
                    sent = client.upload_archive(vaultName="load", body=body, archiveDescription=f"{worker}")
                    assert sent["checksum"] == tree_hash(body)
                    mine[sent["archiveId"]] = (first, size)
            except (botocore.exceptions.HTTPClientError, botocore.exceptions.ConnectionError):
                # Only the kill may break anything.
                assert killed.is_set(), "a connection broke without a kill"
                lost[worker] += 1
                time.sleep(0.1)
                client = endpoint.client()

    def in_parts(client, data, last):
        """An upload in two parts: `data` and some of its beginning."""
        started = client.initiate_multipart_upload(vaultName="load", partSize=str(MIB))["uploadId"]
        at = {"vaultName": "load", "uploadId": started}
        client.upload_multipart_part(**at, range=f"bytes {MIB}-{MIB + last - 1}/*", body=data[:last])
        client.upload_multipart_part(**at, range=f"bytes 0-{MIB - 1}/*", body=data)
        whole = data + data[:last]
        done = client.complete_multipart_upload(**at, archiveSize=str(len(whole)), checksum=tree_hash(whole))
        sizes[done["archiveId"]] = len(whole)
        return done["archiveId"]

    sizes = {}
    with concurrent.futures.ThreadPoolExecutor(UPLOADERS) as workers:
        running = [workers.submit(upload, worker) for worker in range(UPLOADERS)]
        time.sleep(half)
        killed.set()
        endpoint.kill()
        before = sum(map(len, acknowledged))
        time.sleep(0.5)
        endpoint.start(listen=endpoint.address)
        time.sleep(half)
        stop.set()
        for worker in running:
            worker.result()
    archives = {archive: at for mine in acknowledged for archive, at in mine.items()}
    print(f"{before} archives before the kill, {len(archives)} in all; {sum(lost)} requests were cut off")
    assert 0 < before < len(archives) and sum(lost) > 0

    listed = {archive["ArchiveId"]: archive for archive in vault.inventory()}
    assert not archives.keys() - listed.keys(), "archives with a 201 are missing from the inventory"

    def verify(archive):
        first, size = archives[archive]
        if size is None:
            part = pool[first : first + MIB]
            data = part + part[: sizes[archive] - MIB]
        else:
            data = pool[first : first + size]
        assert (listed[archive]["Size"], listed[archive]["SHA256TreeHash"]) == (len(data), tree_hash(data))
        assert vault.output(vault.retrieve(archive)) == data

    began = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(8) as workers:
        compared = len(list(workers.map(verify, archives)))
    print(f"{compared} archives retrieved and compared in {time.monotonic() - began:.1f} s")


def test_an_upload_that_stalls(stalled):
    """1.11, 3.19, 7.6.6: when nothing of a body comes any more, 408 with the words that clients know."""
    response, body = finished(stalled)
    assert response.status == 408
    assert json.loads(body) == {"code": "RequestTimeoutException", "message": "Request timed out.", "type": "Client"}
