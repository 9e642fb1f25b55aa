"""Job output (3.29), its ranges and checksums (4.6)."""

import itertools
import json
import pathlib

import pytest
from harness import MIB, invalid, ok, pattern, tree_hash
from test_multipart import Upload

TABLE = json.loads((pathlib.Path(__file__).parents[1] / "data/treehash-vectors.json").read_text())["range_alignment"]
ROWS = [(entry["size"], row) for entry in TABLE for row in entry["ranges"]]


@pytest.fixture(scope="module")
def retrieved(endpoint):
    """Two MiB in the middle of 6.5 MiB: the job and its data."""
    vault, data = endpoint.vault(), pattern(6815744)
    archive = vault.upload(data, "a description")
    job = vault.retrieve(archive, RetrievalByteRange="2097152-4194303")
    return vault, job, data[2097152:4194304]


def get(vault, job, span=None):
    return vault.raw("GET", f"/jobs/{job}/output", headers={"Range": span} if span else None)


def test_the_whole(retrieved):
    """1.4, 3.29, 7.6.3: 200 with length, type, checksum and description, and never in chunks."""
    vault, job, data = retrieved
    answer = get(vault, job)
    headers = answer.headers
    assert (answer.status, answer.body) == (200, data)
    assert (headers["Content-Length"], headers["Content-Type"]) == (str(len(data)), "application/octet-stream")
    assert (headers["Accept-Ranges"], headers["x-amz-archive-description"]) == ("bytes", "a description")
    assert headers["x-amz-sha256-tree-hash"] == tree_hash(data)
    assert "Transfer-Encoding" not in headers and "Content-Range" not in headers and "Content-Encoding" not in headers


@pytest.mark.parametrize(
    "span,first,last,checksum",
    [
        ("bytes=0-1048575", 0, MIB - 1, True),
        ("bytes=1048576-2097151", MIB, 2 * MIB - 1, True),
        ("bytes=0-2097151", 0, 2 * MIB - 1, True),
        ("bytes=5-9", 5, 9, False),
        ("bytes=0-0", 0, 0, False),
        ("bytes=1048576-", MIB, 2 * MIB - 1, True),
        ("bytes=1048577-99999999", MIB + 1, 2 * MIB - 1, False),
        ("bytes=1048576-99999999999999999999", MIB, 2 * MIB - 1, True),
        ("bytes=-1048576", MIB, 2 * MIB - 1, True),
        ("bytes=-99999999", 0, 2 * MIB - 1, True),
    ],
)
def test_ranges(retrieved, span, first, last, checksum):
    """3.29, 7.6.4, 7.6.5: 206, cut at the end, with the total of the job's output and a checksum when it is aligned."""
    vault, job, data = retrieved
    answer = get(vault, job, span)
    wanted = data[first : last + 1]
    assert (answer.status, answer.body) == (206, wanted)
    assert answer.headers["Content-Range"] == f"bytes {first}-{last}/2097152"
    assert answer.headers["Content-Length"] == str(len(wanted))
    assert answer.headers["x-amz-sha256-tree-hash"] == (tree_hash(wanted) if checksum else None)


@pytest.mark.parametrize(
    "span",
    [
        "bytes 0-4194303/235812776",
        "0-100/493",
        "bytes=9-5",
        "bytes=a-b",
        "bytes=0-1,5-6",
        "bytes=",
        "lines=0-1",
        "bytes=-",
    ],
)
def test_malformed_ranges(retrieved, span):
    """3.29, 7.2, 7.6.12: are ignored, all is sent."""
    vault, job, data = retrieved
    answer = get(vault, job, span)
    assert (answer.status, answer.body, answer.headers["Content-Range"]) == (200, data, None)


@pytest.mark.parametrize("span", ["bytes=2097152-", "bytes=2097152-2097153", "bytes=99999999-99999999"])
def test_ranges_behind_the_end(retrieved, span):
    """1.11, 3.29, 7.6.12: 400, not 416."""
    vault, job, _ = retrieved
    message = f"The start of the range is larger than size of retrieved data: {span}"
    assert invalid(vault.get_job_output, jobId=job, range=span) == message


def test_in_progress(endpoint, vault):
    """1.11, 3.29, 7.6.10: clients match the words to go on polling."""
    job = vault.retrieve(vault.upload(), Tier="Bulk")
    assert invalid(vault.get_job_output, jobId=job) == f"The job is not currently available for download: {job}"


@pytest.mark.parametrize("size,row", ROWS, ids=lambda value: value["range"] if isinstance(value, dict) else str(value))
def test_alignment(endpoint, archives, size, row):
    """3.27, 4.5, 4.6: the published table: which ranges start a job, and which get a checksum, by job or download."""
    vault, by_size = archives
    archive, whole = by_size[size]
    first, last = row["start"], row["end"]
    wanted = pattern(size)[first : last + 1]
    expected = row["tree_hash_of_range"] if row["tree_hash_aligned"] else None
    assert tree_hash(wanted) == row["tree_hash_of_range"]
    if row["megabyte_aligned"]:
        job = vault.retrieve(archive, RetrievalByteRange=f"{first}-{last}")
        assert vault.describe_job(jobId=job).get("SHA256TreeHash") == expected
        answer = get(vault, job)
        assert (answer.status, answer.body == wanted, answer.headers["x-amz-sha256-tree-hash"]) == (200, True, expected)
    else:
        invalid(vault.retrieve, archive, RetrievalByteRange=f"{first}-{last}")
    answer = get(vault, whole, f"bytes={first}-{last}")
    assert (answer.status, answer.body == wanted, answer.headers["x-amz-sha256-tree-hash"]) == (206, True, expected)


@pytest.fixture(scope="module")
def archives(endpoint):
    """An archive and a job over all of it for each size of the table."""
    vault = endpoint.vault()
    made = {}
    for size in {size for size, _ in ROWS}:
        archive = vault.upload(pattern(size))
        made[size] = archive, vault.retrieve(archive)
    return vault, made


def nodes(size, unit=MIB):
    """The ranges of all nodes of the tree over `size` bytes, by the definition."""
    level = [(first, min(first + unit, size) - 1) for first in range(0, size, unit)]
    found = set(level)
    while len(level) > 1:
        pairs = [level[i : i + 2] for i in range(0, len(level), 2)]
        level = [(pair[0][0], pair[-1][1]) for pair in pairs]
        found.update(level)
    return found


@pytest.mark.parametrize("parts", [None, 1, 2, 4], ids=lambda parts: f"parts of {parts} MiB" if parts else "one upload")
def test_every_range_of_megabytes(endpoint, parts):
    """4.6: exactly the nodes of the tree get checksums, right ones, however the archive was uploaded."""
    vault, size = endpoint.vault(), 6 * MIB + 12345
    data = pattern(size)
    if parts:
        archive = Upload(vault, data, parts * MIB).put_all().complete()
    else:
        archive = vault.upload(data)
    job, tree = vault.retrieve(archive), nodes(size)
    edges = [*range(0, size, MIB), size]
    for first, end in itertools.combinations(edges, 2):
        answer = get(vault, job, f"bytes={first}-{end - 1}")
        expected = tree_hash(data[first:end]) if (first, end - 1) in tree else None
        assert answer.body == data[first:end]
        assert answer.headers["x-amz-sha256-tree-hash"] == expected, (first, end)


def test_no_checksums_of_a_misaligned_retrieval(vault):
    """4.6: not even of a megabyte of it."""
    data = pattern(6 * MIB)
    job = vault.retrieve(vault.upload(data), RetrievalByteRange=f"{MIB}-{4 * MIB - 1}")
    for span in (None, "bytes=0-1048575", "bytes=1048576-3145727"):
        assert "x-amz-sha256-tree-hash" not in get(vault, job, span).headers


def test_a_verified_download_in_chunks(vault):
    """4.6: chunks of a power of two of MiB all have checksums, which fold to the job's."""
    data = pattern(13 * MIB + 1)
    job = vault.retrieve(vault.upload(data))
    received = b""
    for first in range(0, len(data), 4 * MIB):
        output = ok(vault.get_job_output(jobId=job, range=f"bytes={first}-{first + 4 * MIB - 1}"), 206)
        chunk = output["body"].read()
        assert output["checksum"] == tree_hash(chunk)
        received += chunk
    assert tree_hash(received) == vault.describe_job(jobId=job)["SHA256TreeHash"] == tree_hash(data)


@pytest.mark.parametrize("form,content_type", [("JSON", "application/json"), ("CSV", "text/csv")])
def test_inventory_output(vault, form, content_type):
    """3.29, 7.6.3: the exact types, lengths and ranges, and never a checksum."""
    vault.upload(description="description of an archive")
    job = vault.start(Type="inventory-retrieval", Format=form)
    answer = get(vault, job)
    assert (answer.status, answer.headers["Content-Type"]) == (200, content_type)
    assert answer.headers["Content-Length"] == str(len(answer.body))
    assert "x-amz-sha256-tree-hash" not in answer.headers and "x-amz-archive-description" not in answer.headers
    part = get(vault, job, "bytes=10-19")
    assert (part.status, part.body) == (206, answer.body[10:20])
    assert part.headers["Content-Range"] == f"bytes 10-19/{len(answer.body)}"
    assert "x-amz-sha256-tree-hash" not in get(vault, job, "bytes=0-").headers
