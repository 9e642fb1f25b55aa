"""Multipart uploads (3.20 to 3.25)."""

import concurrent.futures
import hashlib
import http.client
import json
import pathlib
import random
import re
import shutil

import pytest
from harness import ACCOUNT, DATE, MIB, hashes, invalid, missing, ok, pattern, tree_hash

VECTORS = json.loads((pathlib.Path(__file__).parents[1] / "data/treehash-vectors.json").read_text())["multipart"]


class Upload:
    """A multipart upload of some bytes."""

    def __init__(self, vault, data=b"", part_size=MIB, **parameters):
        self.vault, self.data, self.part_size = vault, data, part_size
        self.id = ok(vault.initiate_multipart_upload(partSize=str(part_size), **parameters), 201)["uploadId"]
        self.path = f"/multipart-uploads/{self.id}"

    def put(self, first, body=None, span=None, **parameters):
        """Sends the part that begins at `first`; its tree hash as the service says it."""
        body = self.data[first : first + self.part_size] if body is None else body
        span = span or f"bytes {first}-{first + len(body) - 1}/*"
        sent = self.vault.upload_multipart_part(uploadId=self.id, range=span, body=body, **parameters)
        return ok(sent, 204)["checksum"]

    def put_all(self):
        for first in range(0, len(self.data), self.part_size):
            assert self.put(first) == tree_hash(self.data[first : first + self.part_size])
        return self

    def complete(self, size=None, checksum=None):
        size = len(self.data) if size is None else size
        whole = {"archiveSize": str(size), "checksum": checksum or tree_hash(self.data)}
        return ok(self.vault.complete_multipart_upload(uploadId=self.id, **whole), 201)["archiveId"]

    def parts(self):
        return [
            (part["RangeInBytes"], part["SHA256TreeHash"])
            for page in self.vault.client.get_paginator("list_parts").paginate(
                vaultName=self.vault.name, uploadId=self.id
            )
            for part in page["Parts"]
        ]

    def abort(self):
        return ok(self.vault.abort_multipart_upload(uploadId=self.id), 204)


def test_initiating(vault):
    """1.7, 3.20: 201, the ID in a header and in Location."""
    answer = vault.raw("POST", "/multipart-uploads", headers={"x-amz-part-size": "1048576"})
    upload = answer.headers["x-amz-multipart-upload-id"]
    assert (answer.status, answer.body, answer.headers["Content-Length"], len(upload)) == (201, b"", "0", 92)
    assert answer.headers["Location"] == f"/{ACCOUNT}/vaults/{vault.name}/multipart-uploads/{upload}"


@pytest.mark.parametrize("size", [str(MIB << i) for i in range(13)])
def test_part_sizes(vault, size):
    """1.9, 3.20: every power of two from 1 MiB to 4 GiB."""
    ok(vault.initiate_multipart_upload(partSize=size), 201)


@pytest.mark.parametrize(
    "size", ["0", "1", "524288", "1048577", "3145728", "8589934592", "-1048576", "x", "1e6", "+1048576"]
)
def test_bad_part_sizes(vault, size):
    """1.11, 3.20: anything else gets the service's words."""
    assert invalid(vault.initiate_multipart_upload, partSize=size) == (
        f"Invalid part size: {size}. Part size must not be null, must be a power of two and be between 1048576 and "
        "4294967296 bytes."
    )


def test_no_part_size(vault):
    """1.11, 3.20."""
    code, status, message = vault.raw("POST", "/multipart-uploads").error()
    assert status == 400 and code in ("InvalidParameterValueException", "MissingParameterValueException")
    assert "art size" in message or "x-amz-part-size" in message


def test_descriptions(vault):
    """3.20: leading spaces are removed, the rest is kept; too long or other characters are refused."""
    upload = Upload(vault, b"x", archiveDescription="  two  spaces ").put_all()
    kept = vault.list_parts(uploadId=upload.id)["ArchiveDescription"]
    assert kept.startswith("two  spaces")
    upload.complete()
    assert vault.inventory()[0]["ArchiveDescription"] == kept
    invalid(vault.initiate_multipart_upload, partSize=str(MIB), archiveDescription="x" * 1025)
    headers = {"x-amz-part-size": str(MIB), "x-amz-archive-description": "a\tb"}
    assert vault.raw("POST", "/multipart-uploads", headers=headers).error()[1] == 400


@pytest.mark.parametrize("vector", VECTORS, ids=lambda v: f"{v['size']}-in-{v['part_size']}")
def test_composition(vault, vector):
    """4.4: the tree hashes of the parts and of the whole are those published; the archive is the parts in order."""
    upload = Upload(vault, pattern(vector["size"]), vector["part_size"]).put_all()
    assert [(f"bytes {span}/*", hash) for span, hash in upload.parts()] == [
        (part["content_range"], part["tree_hash"]) for part in vector["parts"]
    ]
    archive = upload.complete(checksum=vector["archive_tree_hash"])
    assert vault.fetch(archive) == upload.data


def test_parts_in_any_order_and_in_parallel(vault):
    """3.22: and some of them twice."""
    seed = random.randrange(1 << 32)
    print("seed", seed)
    upload = Upload(vault, random.Random(seed).randbytes(20 * MIB + 5))
    firsts = [*range(0, len(upload.data), MIB), 0, 7 * MIB]
    random.Random(seed).shuffle(firsts)
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(upload.put, firsts))
    assert vault.fetch(upload.complete()) == upload.data


def test_the_answer_to_a_part(vault):
    """3.22: 204 with the service's tree hash and nothing else."""
    upload = Upload(vault, pattern(MIB))
    answer = vault.raw("PUT", upload.path, upload.data, hashes(upload.data) | {"Content-Range": "bytes 0-1048575/*"})
    assert (answer.status, answer.body, answer.headers["Content-Length"]) == (204, b"", None)
    assert answer.headers["x-amz-sha256-tree-hash"] == tree_hash(upload.data)


@pytest.mark.parametrize(
    "span", ["bytes 5-4/*", "bytes 0-/*", "bytes -4/*", "0-3/*", "bytes 0-3", "bytes a-b/*", "bytes=0-3"]
)
def test_bad_ranges_of_parts(vault, span):
    """1.11, 3.22: syntax, and last before first."""
    assert invalid(Upload(vault).put, 0, b"data", span) == f"Invalid Content-Range: {span}"


def test_no_range_of_a_part(vault):
    """3.22: Content-Range is required."""
    upload = Upload(vault)
    assert vault.raw("PUT", upload.path, b"data", hashes(b"data")).error()[1] == 400


@pytest.mark.parametrize("span", ["bytes 0-4/*", "bytes 0-2/*", "bytes 0-18446744073709551615/*"])
def test_ranges_and_lengths_that_differ(vault, span):
    """1.11, 3.22."""
    message = f"Content-Range: {span} is incompatible with Content-Length: 4"
    assert invalid(Upload(vault).put, 0, b"data", span) == message


def test_parts_out_of_place(vault):
    """3.22: a part begins at a multiple of the part size, isn't larger, and is one of the first 10,000."""
    upload = Upload(vault)
    invalid(upload.put, 1, b"data")
    invalid(upload.put, MIB // 2, b"data")
    invalid(upload.put, 0, bytes(MIB + 1))
    assert invalid(upload.put, 10_000 * MIB, b"data") == (
        "This is part number 10001 for the current multipart upload. It exceeds the limit of 10000 parts."
    )
    upload.put(9_999 * MIB, b"data")
    assert [span for span, _ in upload.parts()] == [f"{9_999 * MIB}-{9_999 * MIB + 3}"]


def test_wrong_hashes_of_parts(vault):
    """3.22: each is refused, and the part that was there stays."""
    upload = Upload(vault, b"first")
    upload.put(0)
    other, span = hashes(b"other"), {"Content-Range": "bytes 0-4/*"}
    right = hashes(b"again")
    put = lambda headers: vault.raw("PUT", upload.path, b"again", headers | span).error()
    code, status, message = put(right | {"x-amz-sha256-tree-hash": other["x-amz-sha256-tree-hash"]})
    assert (code, status) == ("InvalidParameterValueException", 400)
    assert message == f"Checksum mismatch: expected {tree_hash(b'other')}, computed {tree_hash(b'again')}"
    code, status, message = put(right | {"x-amz-content-sha256": other["x-amz-content-sha256"]})
    assert (code, status) == ("InvalidSignatureException", 403)
    assert message.startswith("The value passed in as x-amz-content-sha256 does not match the computed payload hash.")
    for header in right:
        assert put({name: value for name, value in right.items() if name != header})[:2] == (
            "MissingParameterValueException",
            400,
        )
    assert upload.parts() == [("0-4", tree_hash(b"first"))]
    assert vault.fetch(upload.complete()) == b"first"


def test_a_part_sent_again_replaces(vault):
    """1.13, 3.22, 7.6.11: also with another size."""
    upload = Upload(vault, pattern(2 * MIB))
    upload.put(MIB)
    upload.put(0, b"short")
    upload.put(0, pattern(MIB)[::-1])
    upload.put(0)
    assert vault.fetch(upload.complete()) == upload.data


def test_completing(vault):
    """1.13, 3.24: 201 with the ID in a header and in Location; the same again, and again."""
    upload = Upload(vault, pattern(3 * MIB + 1)).put_all()
    headers = {"x-amz-archive-size": str(len(upload.data)), "x-amz-sha256-tree-hash": tree_hash(upload.data)}
    answer = vault.raw("POST", upload.path, headers=headers)
    archive = answer.headers["x-amz-archive-id"]
    assert (answer.status, answer.body, answer.headers["Content-Length"]) == (201, b"", "0")
    assert answer.headers["Location"] == f"/{ACCOUNT}/vaults/{vault.name}/archives/{archive}"
    assert [upload.complete() for _ in range(2)] == [archive] * 2
    assert [a["ArchiveId"] for a in vault.inventory()] == [archive]
    assert vault.list_multipart_uploads()["UploadsList"] == []
    missing(vault.list_parts, uploadId=upload.id)
    missing(upload.put, 0)
    missing(upload.vault.abort_multipart_upload, uploadId=upload.id)


def test_a_failed_completion_leaves_the_upload_open(vault):
    """3.24, 7.6.11: what is wrong can be put right."""
    upload = Upload(vault, pattern(4 * MIB))
    complete = upload.complete
    invalid(complete)
    for first in (0, 2 * MIB, 3 * MIB):
        upload.put(first)
    invalid(complete)
    upload.put(MIB, b"short")
    invalid(complete)
    invalid(complete, size=3 * MIB + 5)
    upload.put(MIB)
    for size in (4 * MIB - 1, 4 * MIB + 1, 0):
        invalid(complete, size=size)
    for sent in (tree_hash(b""), "x", tree_hash(b"other")):
        assert invalid(complete, checksum=sent) == f"Invalid x-amz-sha256-tree-hash: {sent}"
    for nonsense in ("x", "-1", "1.5"):
        invalid(complete, size=nonsense)
    assert vault.fetch(complete()) == upload.data


def test_headers_of_completion(vault):
    """3.24: both are required, and boto3 doesn't compute the hash."""
    upload = Upload(vault, b"data").put_all()
    size = {"x-amz-archive-size": "4"}
    without = ("MissingParameterValueException", 400, "Required parameter missing: x-amz-sha256-tree-hash")
    assert vault.raw("POST", upload.path, headers=size).error() == without
    hash = {"x-amz-sha256-tree-hash": tree_hash(b"data")}
    assert vault.raw("POST", upload.path, headers=hash).error()[:2] == without[:2]
    upload.complete()


def test_aborting(vault):
    """1.13, 3.25: 204, and again; then the upload is none for anything else."""
    upload = Upload(vault, b"data").put_all()
    for _ in range(2):
        upload.abort()
    assert vault.list_multipart_uploads()["UploadsList"] == []
    for call in (upload.put_all, upload.complete, upload.parts):
        assert missing(call) == f"The upload ID was not found: {upload.id}"


def test_unknown_uploads(endpoint, vault):
    """1.11: also an upload of another vault."""
    for upload in (Upload(endpoint.vault()), type("Unknown", (), {"id": "unknown"})):
        arguments = {"uploadId": upload.id}
        missing(vault.upload_multipart_part, range="bytes 0-3/*", body=b"data", **arguments)
        missing(vault.list_parts, **arguments)
        missing(vault.complete_multipart_upload, archiveSize="4", checksum=tree_hash(b"data"), **arguments)
        assert missing(vault.abort_multipart_upload, **arguments) == f"The upload ID was not found: {upload.id}"


def test_the_list_of_parts(vault):
    """1.5, 3.23: exactly the documented members; no parts are an empty list."""
    upload = Upload(vault)
    path = f"/multipart-uploads/{upload.id}"
    listed = vault.raw("GET", path).json()
    assert re.fullmatch(DATE, listed.pop("CreationDate"))
    empty = {
        "ArchiveDescription": None,
        "Marker": None,
        "MultipartUploadId": upload.id,
        "PartSizeInBytes": MIB,
        "Parts": [],
        "VaultARN": vault.arn,
    }
    assert listed == empty
    upload.put(0, b"data")
    parts = [{"RangeInBytes": "0-3", "SHA256TreeHash": tree_hash(b"data")}]
    assert vault.raw("GET", path).json()["Parts"] == parts


def test_pages_of_parts(vault):
    """1.10, 3.23: 50 a page at most, ascending, with a Marker on all but the last."""
    upload = Upload(vault)
    numbers = [*range(101), 500, 9_999]
    for number in reversed(numbers):
        upload.put(number * MIB, b"part %d" % number)
    expected = [f"{n * MIB}-{n * MIB + len(b'part %d' % n) - 1}" for n in numbers]
    pages, marker = [], ""
    while marker is not None:
        page = vault.raw("GET", f"/multipart-uploads/{upload.id}?limit=1000&marker={marker}").json()
        pages.append([part["RangeInBytes"] for part in page["Parts"]])
        marker = page["Marker"]
    assert pages == [expected[:50], expected[50:100], expected[100:]]
    assert [span for span, _ in upload.parts()] == expected
    walk = vault.client.get_paginator("list_parts").paginate(
        vaultName=vault.name, uploadId=upload.id, PaginationConfig={"PageSize": 7}
    )
    assert [part["RangeInBytes"] for page in walk for part in page["Parts"]] == expected
    for query in ("limit=0", "limit=x", "marker=x"):
        answer = vault.raw("GET", f"/multipart-uploads/{upload.id}?{query}")
        assert answer.error()[:2] == ("InvalidParameterValueException", 400), query


def test_the_list_of_uploads(vault):
    """1.5, 1.10, 3.21: exactly the documented members, 50 a page, each upload once."""
    assert vault.raw("GET", "/multipart-uploads").body == b'{"Marker":null,"UploadsList":[]}'
    uploads = [Upload(vault, archiveDescription="first").id, *[Upload(vault, part_size=2 * MIB).id for _ in range(60)]]
    page = vault.raw("GET", "/multipart-uploads").json()
    assert (len(page["UploadsList"]), page["Marker"] is None) == (50, False)
    page["UploadsList"].sort(key=lambda upload: upload["MultipartUploadId"] != uploads[0])
    first = page["UploadsList"][0]
    assert re.fullmatch(DATE, first.pop("CreationDate"))
    assert first == {
        "ArchiveDescription": "first",
        "MultipartUploadId": uploads[0],
        "PartSizeInBytes": MIB,
        "VaultARN": vault.arn,
    }
    assert page["UploadsList"][1]["ArchiveDescription"] is None
    for size in (50, 7, 61, 1000):
        walk = vault.client.get_paginator("list_multipart_uploads").paginate(
            vaultName=vault.name, PaginationConfig={"PageSize": size}
        )
        found = [upload["MultipartUploadId"] for page in walk for upload in page["UploadsList"]]
        assert sorted(found) == sorted(uploads)
    for query in ("limit=0", "limit=x", "marker=x"):
        assert vault.raw("GET", f"/multipart-uploads?{query}").error()[1] == 400, query


def test_idle_uploads_expire(clocked, slow_vault):
    """3.20: an upload lives for 24 hours after the last request about it; a completion is repeated as long."""
    idle, busy = Upload(slow_vault, b"idle").put_all(), Upload(slow_vault, b"busy").put_all()
    for _ in range(3):
        clocked.advance("20h")
        busy.parts()
    missing(idle.parts)
    assert [u["MultipartUploadId"] for u in slow_vault.list_multipart_uploads()["UploadsList"]] == [busy.id]
    archive = busy.complete()
    clocked.advance("20h")
    assert busy.complete() == archive
    clocked.advance("30h")
    missing(busy.complete)


def test_ten_thousand_parts(serve, tmp_path):
    """1.9: the most parts that an upload can have. Parts have to be full, so this takes 10 GB of disk and a minute."""
    if shutil.disk_usage(tmp_path).free < 12 << 30:
        pytest.skip(f"{tmp_path} has less than the 12 GiB of room that it takes")
    endpoint = serve("--retrieval-delay", "all=0s", "--inventory-interval", "0s")
    vault = endpoint.vault()
    upload = Upload(vault)
    part, known = bytes(MIB), hashes(bytes(MIB))

    def put(numbers):
        """Sends parts on one connection, without hashing the same zeros again and again."""
        connection = http.client.HTTPConnection(endpoint.address, timeout=60)
        path = f"{vault.path}/multipart-uploads/{upload.id}"
        for n in numbers:
            span = {"Content-Range": f"bytes {n * MIB}-{(n + 1) * MIB - 1}/*"}
            request = endpoint.signed("PUT", path, b"", known | span)
            connection.request("PUT", path, part, dict(request.headers.items()))
            answer = connection.getresponse()
            assert (answer.status, answer.read()) == (204, b"")
        connection.close()

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        list(pool.map(put, [range(first, 9_999, 4) for first in range(4)]))
    upload.put(9_999 * MIB, b"last")
    spans = [span for span, _ in upload.parts()]
    assert spans == [*[f"{n * MIB}-{n * MIB + MIB - 1}" for n in range(9_999)], f"{9_999 * MIB}-{9_999 * MIB + 3}"]
    # The tree hash by its definition, level by level.
    level = [bytes.fromhex(known["x-amz-sha256-tree-hash"])] * 9_999 + [bytes.fromhex(tree_hash(b"last"))]
    while len(level) > 1:
        pairs = [level[i : i + 2] for i in range(0, len(level), 2)]
        level = [hashlib.sha256(b"".join(pair)).digest() if len(pair) == 2 else pair[0] for pair in pairs]
    archive = upload.complete(9_999 * MIB + 4, level[0].hex())
    job = vault.retrieve(archive, RetrievalByteRange=f"{9_998 * MIB}-{9_999 * MIB + 3}")
    assert vault.output(job) == part + b"last"
    assert vault.inventory()[0]["Size"] == 9_999 * MIB + 4
