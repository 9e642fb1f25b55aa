"""Vaults: create, delete, describe, list (3.1 to 3.4)."""

import concurrent.futures
import json
import re
import urllib.parse

import pytest
from harness import ACCOUNT, DATE, MIB, Endpoint, Vault, invalid, missing, ok, refused


def test_creating(endpoint):
    """3.1: 201 with Location and an empty body; a repetition changes nothing."""
    vault = endpoint.vault("creating")
    described = vault.describe_vault()
    answer = vault.raw("PUT")
    assert (answer.status, answer.body, answer.headers["Content-Length"]) == (201, b"", "0")
    assert answer.headers["Location"] == f"/{ACCOUNT}/vaults/creating"
    assert ok(vault.create_vault(), 201)["location"] == f"/{ACCOUNT}/vaults/creating"
    assert vault.describe_vault()["CreationDate"] == described["CreationDate"]


@pytest.mark.parametrize("name", ["x", "0123", ".hidden", "-dash", "a.b-c_D", "...", "n" * 255])
def test_legal_names(endpoint, name):
    """1.8, 3.1: any of the allowed characters anywhere, up to 255 of them."""
    vault = endpoint.vault(name)
    assert vault.describe_vault()["VaultName"] == name
    ok(vault.delete_vault(), 204)


@pytest.mark.parametrize("name", ["a%20b", "a%3Ab", "a%2Fb", "caf%C3%A9", "a%2Ab", "n" * 256, "%00"])
def test_illegal_names(endpoint, name):
    """1.8, 3.1: other characters and longer names are refused on creation, and are no vault to any other operation."""
    code, status, _ = endpoint.raw("PUT", f"/-/vaults/{name}").error()
    assert (code, status) == ("InvalidParameterValueException", 400)
    code, status, message = endpoint.raw("GET", f"/-/vaults/{name}").error()
    assert (code, status) == ("ResourceNotFoundException", 404) and message.startswith("Vault not found for ARN: ")


def test_the_message_for_a_name_that_can_not_be(endpoint):
    """1.8: operations other than CreateVault answer with the bare name."""
    assert missing(endpoint.glacier.describe_vault, vaultName="testz:z") == "Vault not found for ARN: testz:z"


def test_names_are_case_sensitive(endpoint):
    """1.8."""
    endpoint.vault("Case")
    missing(endpoint.glacier.describe_vault, vaultName="case")


def test_the_limit_of_vaults(serve):
    """1.9, 3.1: 1,000 vaults per account and region; creating one that exists is still right."""
    endpoint = serve()
    create = lambda i: endpoint.glacier.create_vault(vaultName=f"v{i:03}")
    with concurrent.futures.ThreadPoolExecutor(32) as pool:
        list(pool.map(create, range(1000)))
    refused("LimitExceededException", 400, endpoint.glacier.create_vault, vaultName="one-more")
    create(7)
    endpoint.glacier.delete_vault(vaultName="v500")
    endpoint.glacier.create_vault(vaultName="one-more")
    pages = list(endpoint.glacier.get_paginator("list_vaults").paginate(limit="1000"))
    assert [len(page["VaultList"]) for page in pages] == [10] * 100
    names = [vault["VaultName"] for page in pages for vault in page["VaultList"]]
    assert names == sorted(names) and len(set(names)) == 1000


def test_deleting_a_vault_that_is_not(endpoint):
    """1.13, 3.2: 204, and so after deleting."""
    answer = endpoint.raw("DELETE", "/-/vaults/never-was")
    assert (answer.status, answer.body, answer.headers["Content-Length"]) == (204, b"", None)
    vault = endpoint.vault()
    for _ in range(2):
        ok(vault.delete_vault(), 204)


def test_deleting_goes_by_the_last_inventory(clocked, slow_vault):
    """3.2, 5.1: no archive in the last inventory and no write since it; so a day passes after each write."""
    vault, arn = slow_vault, slow_vault.arn
    says = f"Vault not empty or recently written to: {arn}"
    archive = vault.upload()
    assert invalid(vault.delete_vault) == says
    clocked.advance("25h")
    assert vault.describe_vault()["NumberOfArchives"] == 1
    assert invalid(vault.delete_vault) == says
    vault.delete_archive(archiveId=archive)
    assert invalid(vault.delete_vault) == says
    assert vault.describe_vault()["NumberOfArchives"] == 1
    clocked.advance("23h")
    assert invalid(vault.delete_vault) == says
    clocked.advance("2h")
    assert vault.describe_vault()["NumberOfArchives"] == 0
    ok(vault.delete_vault(), 204)
    missing(vault.describe_vault)


def test_a_vault_never_written_to_goes_at_once(slow_vault):
    """3.2: and uploads in progress are no archives, they go with it."""
    upload = slow_vault.initiate_multipart_upload(partSize=str(MIB))["uploadId"]
    slow_vault.upload_multipart_part(uploadId=upload, range="bytes 0-0/*", body=b"x")
    ok(slow_vault.delete_vault(), 204)
    slow_vault.create_vault()
    assert slow_vault.list_multipart_uploads()["UploadsList"] == []
    missing(slow_vault.list_parts, uploadId=upload)


def test_everything_about_a_vault_goes_with_it(endpoint):
    """3.2: a new vault of the same name has no tags, policies, notifications, locks or jobs."""
    vault = endpoint.vault("phoenix")
    allow = {"Effect": "Allow", "Principal": "*", "Action": "glacier:DescribeVault", "Resource": vault.arn}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [allow]})
    vault.add_tags_to_vault(Tags={"k": "v"})
    vault.set_vault_access_policy(policy={"Policy": policy})
    vault.initiate_vault_lock(policy={"Policy": policy})
    events = ["ArchiveRetrievalCompleted"]
    topic = "arn:aws:sns:us-east-1:000000000000:t"
    vault.set_vault_notifications(vaultNotificationConfig={"SNSTopic": topic, "Events": events})
    archive = vault.upload()
    job = vault.retrieve(archive)
    vault.delete_archive(archiveId=archive)
    ok(vault.delete_vault(), 204)
    vault.create_vault()
    assert vault.list_tags_for_vault()["Tags"] == {}
    assert vault.list_jobs()["JobList"] == []
    for get in (vault.get_vault_access_policy, vault.get_vault_notifications, vault.get_vault_lock):
        missing(get)
    missing(vault.describe_job, jobId=job)
    missing(vault.delete_archive, archiveId=archive)


def test_describing(slow_vault):
    """1.5, 1.6, 3.3: exactly the documented members, explicit nulls, counts of 0, dates with milliseconds."""
    described = slow_vault.raw("GET").json()
    assert re.fullmatch(DATE, described.pop("CreationDate"))
    name, arn = slow_vault.name, slow_vault.arn
    assert described == {
        "LastInventoryDate": None,
        "NumberOfArchives": 0,
        "SizeInBytes": 0,
        "VaultARN": arn,
        "VaultName": name,
    }


def test_counts_are_those_of_the_last_inventory(clocked, slow_vault):
    """3.3, 5.1: stale until the next inventory, with 32 KiB an archive; an unchanged vault keeps its inventory."""
    slow_vault.upload(b"x" * 3145728)
    described = slow_vault.describe_vault()
    assert (described["NumberOfArchives"], "LastInventoryDate" in described) == (0, False)
    clocked.advance("24h")
    clocked.advance("1s")
    described = slow_vault.describe_vault()
    assert (described["NumberOfArchives"], described["SizeInBytes"]) == (1, 3178496)
    assert re.fullmatch(DATE, described["LastInventoryDate"])
    slow_vault.upload(b"y" * 1000)
    assert slow_vault.describe_vault()["NumberOfArchives"] == 1
    clocked.advance("25h")
    changed = slow_vault.describe_vault()
    assert (changed["NumberOfArchives"], changed["SizeInBytes"]) == (2, 3145728 + 1000 + 2 * 32768)
    assert changed["LastInventoryDate"] > described["LastInventoryDate"]
    clocked.advance("72h")
    assert slow_vault.describe_vault()["LastInventoryDate"] == changed["LastInventoryDate"]
    described = slow_vault.describe_vault()
    del described["ResponseMetadata"]
    pages = slow_vault.client.get_paginator("list_vaults").paginate()
    assert described in [vault for page in pages for vault in page["VaultList"]]


def test_waiters(vault):
    """3.3: boto3's waiters know when a vault exists and when it doesn't."""
    once = {"MaxAttempts": 1}
    client = vault.client
    client.get_waiter("vault_exists").wait(vaultName=vault.name, WaiterConfig=once)
    vault.delete_vault()
    client.get_waiter("vault_not_exists").wait(vaultName=vault.name, WaiterConfig=once)


@pytest.fixture(scope="module")
def listed(tmp_path_factory):
    """An endpoint with 25 vaults and no others."""
    endpoint = Endpoint(tmp_path_factory.mktemp("listed") / "data")
    for name in NAMES:
        endpoint.glacier.create_vault(vaultName=name)
    yield endpoint
    endpoint.stop()


NAMES = sorted(["B", "a", "_", "-", ".x", "0", "9z", "aa", "aB", "ab", *[f"v{i}" for i in range(15)]])


def escape(text):
    return urllib.parse.quote(text, safe="")


def page(endpoint, query=""):
    found = endpoint.raw("GET", f"/-/vaults{query}").json()
    assert list(found) == ["Marker", "VaultList"]
    return [vault["VaultName"] for vault in found["VaultList"]], found["Marker"]


def test_pages_of_vaults(listed):
    """1.10, 3.4: sorted by ASCII, 10 a page, the marker is an ARN and null on the last page."""
    first, marker = page(listed)
    assert first == NAMES[:10]
    assert marker == f"arn:aws:glacier:us-east-1:{ACCOUNT}:vaults/{NAMES[9]}"
    second, marker = page(listed, f"?marker={escape(marker)}")
    third, last = page(listed, f"?marker={escape(marker)}")
    assert (second, third, last) == (NAMES[10:20], NAMES[20:], None)
    for size in (1, 3, 7, 10):
        pages = list(listed.glacier.get_paginator("list_vaults").paginate(PaginationConfig={"PageSize": size}))
        assert [vault["VaultName"] for page in pages for vault in page["VaultList"]] == NAMES
        assert all(len(page["VaultList"]) == size for page in pages[:-1]) and pages[-1]["VaultList"]


def test_no_page_is_empty(listed):
    """1.10: a list that ends with a full page says so at once."""
    names, marker = page(listed, f"?limit=5&marker={escape(Vault(listed, NAMES[19]).arn)}")
    assert (names, marker) == (NAMES[20:], None)
    assert page(listed, f"?marker={escape(Vault(listed, NAMES[-1]).arn)}") == ([], None)


def test_a_marker_needs_no_vault(listed):
    """1.10: deleting the vault of the marker between pages doesn't break the walk."""
    gone = Vault(listed, NAMES[4] + "-gone")
    after = [name for name in NAMES if name > gone.name]
    assert page(listed, f"?limit=2&marker={escape(gone.arn)}")[0] == after[:2]


def test_limits_of_pages(listed):
    """1.10, 7.6.13: too large a limit is the maximum, as older clients ask for 1,000; nonsense is refused."""
    for query in ("?limit=10", "?limit=1000", "?limit=", "?marker=", "?marker=&limit="):
        assert page(listed, query)[0] == NAMES[:10], query
    for bad in ("0", "-1", "x", "1.5", "%2B5"):
        assert listed.raw("GET", f"/-/vaults?limit={bad}").error()[:2] == ("InvalidParameterValueException", 400), bad
    for bad in ("x", "arn%3Aaws%3Aglacier%3Aus-east-1%3A999999999999%3Avaults%2Fa"):
        assert listed.raw("GET", f"/-/vaults?marker={bad}").error()[:2] == ("InvalidParameterValueException", 400), bad
