"""Archives in one request: upload, delete (3.18, 3.19)."""

import hashlib
import json
import pathlib

import pytest
from harness import ACCOUNT, MIB, bare, finished, hashes, invalid, missing, ok, pattern, tree_hash

VECTORS = json.loads((pathlib.Path(__file__).parents[1] / "data/treehash-vectors.json").read_text())["vectors"]
PATTERNS = {"i%251": pattern, "zeros": bytes, "ascii_0": lambda size: b"0" * size}


def post(vault, body=b"data", headers=None, **settings):
    return vault.raw("POST", "/archives", body, hashes(body) if headers is None else headers, **settings)


def test_an_upload(vault):
    """1.7, 3.19: 201, the ID in a header and in Location, the service's own tree hash, no body."""
    answer = post(vault)
    archive = answer.headers["x-amz-archive-id"]
    assert (answer.status, answer.body, answer.headers["Content-Length"]) == (201, b"", "0")
    assert answer.headers["Location"] == f"/{ACCOUNT}/vaults/{vault.name}/archives/{archive}"
    assert answer.headers["x-amz-sha256-tree-hash"] == tree_hash(b"data")
    assert len(archive) == 138 and set(archive) <= set(
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    )


@pytest.mark.parametrize("vector", [v for v in VECTORS if v["size"]], ids=lambda v: f"{v['pattern']}-{v['size']}")
def test_tree_hashes(vault, vector):
    """4.1, 4.2: what boto3 and the service compute is what was published; what comes back is what was sent."""
    data = PATTERNS[vector["pattern"]](vector["size"])
    uploaded = ok(vault.upload_archive(body=data), 201)
    assert uploaded["checksum"] == vector["tree_hash"]
    job = vault.retrieve(uploaded["archiveId"])
    output = vault.get_job_output(jobId=job)
    assert (output["body"].read(), output["checksum"]) == (data, vector["tree_hash"])


@pytest.mark.parametrize("size", [65535, 65536, 65537, 1_000_003])
def test_sizes_about_the_endpoints_own_borders(vault, size):
    """3.19: however it keeps them, small and large archives come back."""
    data = pattern(size)
    assert vault.fetch(vault.upload(data)) == data


def test_the_same_again_is_another_archive(vault):
    """1.13, 3.19: identical content twice gives two archives."""
    one, two = vault.upload(b"same"), vault.upload(b"same")
    assert one != two
    assert {archive["ArchiveId"] for archive in vault.inventory()} == {one, two}


@pytest.mark.parametrize(
    "text", ["plain", "two  spaces", 'a "quoted", comma', "back\\slash", "~!@#$%^&*()", "x" * 1024]
)
def test_descriptions(vault, text):
    """3.19: up to 1,024 characters of 0x20 to 0x7E are kept as they are, inner spaces too."""
    archive = vault.upload(description=text)
    assert vault.inventory()[0]["ArchiveDescription"] == text
    output = vault.get_job_output(jobId=vault.retrieve(archive))
    assert output["archiveDescription"] == text
    output["body"].read()


def test_no_description(vault):
    """3.19: is empty in the inventory, and no header of the output."""
    archive = post(vault).headers["x-amz-archive-id"]
    assert vault.inventory()[0]["ArchiveDescription"] == ""
    assert "x-amz-archive-description" not in vault.raw("GET", f"/jobs/{vault.retrieve(archive)}/output").headers


@pytest.mark.parametrize("text", ["x" * 1025, "tab\there"])
def test_bad_descriptions(vault, text):
    """3.19: longer ones and other characters are refused."""
    answer = post(vault, headers=hashes(b"data") | {"x-amz-archive-description": text})
    assert answer.error()[:2] == ("InvalidParameterValueException", 400)


def test_a_description_in_utf8(vault):
    """3.19: is refused, one way or the other."""

    def spoil(request):
        # What http.client writes as Latin-1 are the bytes of UTF-8.
        request.headers.replace_header("x-amz-archive-description", "café".encode().decode("latin-1"))

    answer = post(vault, headers=hashes(b"data") | {"x-amz-archive-description": "café"}, spoil=spoil)
    assert answer.error()[1] in (400, 403)
    ok(vault.delete_vault(), 204)


def test_missing_headers(vault):
    """1.3, 3.19: both hashes are required."""
    both = hashes(b"data")
    missing_tree_hash = {name: value for name, value in both.items() if "tree" not in name}
    assert post(vault, headers=missing_tree_hash).error() == (
        "MissingParameterValueException",
        400,
        "Required parameter missing: x-amz-sha256-tree-hash",
    )
    without_sha256 = {name: value for name, value in both.items() if "tree" in name}
    assert post(vault, headers=without_sha256).error()[:2] == ("MissingParameterValueException", 400)


def test_wrong_hashes(vault):
    """3.19, 6.3: each with its own error and words; nothing is kept."""
    right, wrong = hashes(b"data"), hashlib.sha256(b"other").hexdigest()
    linear, root = right["x-amz-content-sha256"], right["x-amz-sha256-tree-hash"]
    assert post(vault, headers=right | {"x-amz-sha256-tree-hash": wrong}).error() == (
        "InvalidParameterValueException",
        400,
        f"Checksum mismatch: expected {wrong}, computed {root}",
    )
    assert post(vault, headers=right | {"x-amz-content-sha256": wrong}).error() == (
        "InvalidSignatureException",
        403,
        "The value passed in as x-amz-content-sha256 does not match the computed payload hash. "
        f"Computed digest: {linear} expected hash: {wrong}",
    )
    for nonsense in ("x", "", root[:-1], root + "0", "g" * 64):
        answer = post(vault, headers=right | {"x-amz-sha256-tree-hash": nonsense})
        assert answer.error()[1] == 400, nonsense
    assert invalid(vault.upload_archive, body=b"data", checksum=wrong).startswith("Checksum mismatch: expected ")
    assert post(vault, headers={name: value.upper() for name, value in right.items()}).status == 201
    assert len(vault.inventory()) == 1


def test_an_empty_archive(vault):
    """1.9, 3.19: is refused."""
    assert post(vault, b"").error() == ("InvalidParameterValueException", 400, "Invalid Content-Length: 0")
    assert invalid(vault.upload_archive, body=b"") == "Invalid Content-Length: 0"


def test_more_than_4_gib(vault):
    """1.9, 3.19: is refused before it is sent."""
    headers = hashes(b"") | {"Content-Length": "4294967297", "Expect": "100-continue"}
    with bare(vault, headers) as connection:
        response, body = finished(connection)
    assert response.status == 400
    assert json.loads(body)["message"] == "Invalid Content-Length: 4294967297"


def test_a_body_in_chunks(vault):
    """3.19: without a length it is refused."""

    def chunked(headers):
        headers.pop("Content-Length", None)
        headers["Transfer-Encoding"] = "chunked"

    with bare(vault, hashes(b"data"), chunked) as connection:
        connection.sendall(b"4\r\ndata\r\n0\r\n\r\n")
        response, body = finished(connection)
    assert response.status in (400, 411) and json.loads(body)["type"] == "Client"
    assert vault.describe_vault()["NumberOfArchives"] == 0


def test_expect_100_continue(vault):
    """1.1: who asks first is told to go on, and needs not have signed that; who is refused is so before the body."""
    data = pattern(MIB + 1)
    length = {"Content-Length": str(len(data)), "Expect": "100-continue"}
    with bare(vault, hashes(data) | length) as connection:
        assert connection.recv(1000).startswith(b"HTTP/1.1 100 Continue\r\n")
        connection.sendall(data)
        response, _ = finished(connection)
    assert response.status == 201 and vault.fetch(response.headers["x-amz-archive-id"]) == data
    with bare(vault, {**hashes(data), **length, "x-amz-sha256-tree-hash": "x"}) as connection:
        response, body = finished(connection)
    assert response.status == 400 and json.loads(body)["code"] == "InvalidParameterValueException"


def test_a_broken_upload(vault):
    """3.19: a connection that ends early leaves nothing."""
    data = pattern(MIB)
    with bare(vault, hashes(data) | {"Content-Length": str(len(data))}) as connection:
        connection.sendall(data[: MIB // 2])
    assert vault.describe_vault()["NumberOfArchives"] == 0
    ok(vault.delete_vault(), 204)


def test_deleting(vault):
    """1.13, 3.18: 204 without a body, and again; an ID that never was is 404."""
    archive = vault.upload()
    for _ in range(2):
        answer = vault.raw("DELETE", f"/archives/{archive}")
        assert (answer.status, answer.body, answer.headers["Content-Length"]) == (204, b"", None)
    missing(vault.delete_archive, archiveId="never-was")
    assert missing(vault.retrieve, archive) == f"The archive ID was not found: {archive}"
    assert vault.inventory() == []


def test_an_archive_of_another_vault(endpoint, vault):
    """1.11, 3.18, 3.26: "Invalid vault name" with the ARN, on deleting and on retrieving."""
    archive, other = vault.upload(), endpoint.vault()
    assert invalid(other.delete_archive, archiveId=archive) == f"Invalid vault name: {other.arn}"
    assert invalid(other.retrieve, archive) == f"Invalid vault name: {other.arn}"
    assert vault.fetch(archive) == b"data"


def test_what_is_prepared_outlives_its_archive(vault):
    """3.18: output that is ready stays so when the archive is deleted."""
    data = pattern(3 * MIB)
    archive = vault.upload(data)
    job = vault.retrieve(archive)
    vault.delete_archive(archiveId=archive)
    assert vault.output(job) == data
