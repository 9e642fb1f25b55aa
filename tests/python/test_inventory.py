"""Inventories: when they are taken, what is in them, and how (3.26, 3.29, 5.1)."""

import csv
import io
import json
import re
import time

from harness import MIB, missing, pattern, refused, tree_hash

WHOLE_SECONDS = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"


def test_no_inventory_yet(slow_vault):
    """3.26, 5.1: asking a vault that has none is a 404."""
    missing(slow_vault.start, Type="inventory-retrieval")
    slow_vault.upload()
    missing(slow_vault.start, Type="inventory-retrieval")
    assert slow_vault.list_jobs()["JobList"] == []


def test_the_document(vault):
    """1.6, 3.29: compact JSON with members in the service's order, dates of whole seconds, "" for no description."""
    one, two = vault.upload(b"1", 'a, "b" \\ c'), vault.upload(pattern(MIB + 1))
    body = vault.output(vault.start(Type="inventory-retrieval"))
    document = json.loads(body)
    assert list(document) == ["VaultARN", "InventoryDate", "ArchiveList"]
    assert document["VaultARN"] == vault.arn and re.fullmatch(WHOLE_SECONDS, document["InventoryDate"])
    assert body.decode() == json.dumps(document, separators=(",", ":"))
    for archive in document["ArchiveList"]:
        assert list(archive) == ["ArchiveId", "ArchiveDescription", "CreationDate", "Size", "SHA256TreeHash"]
        assert re.fullmatch(WHOLE_SECONDS, archive.pop("CreationDate"))
    assert document["ArchiveList"] == [
        {"ArchiveId": one, "ArchiveDescription": 'a, "b" \\ c', "Size": 1, "SHA256TreeHash": tree_hash(b"1")},
        {
            "ArchiveId": two,
            "ArchiveDescription": "",
            "Size": MIB + 1,
            "SHA256TreeHash": tree_hash(pattern(MIB + 1)),
        },
    ]


def test_csv(vault):
    """3.29: the header line, quoted descriptions, `\\"` for an inner quote and nothing for a backslash."""
    descriptions = ["plain", "", "a, b", 'say "hi"', "back\\slash"]
    ids = [vault.upload(description=text) for text in descriptions]
    body = vault.output(vault.start(Type="inventory-retrieval", Format="CSV")).decode()
    header, *lines = body.splitlines()
    assert header == "ArchiveId,ArchiveDescription,CreationDate,Size,SHA256TreeHash"
    written = ['"plain"', '""', '"a, b"', '"say \\"hi\\""', '"back\\slash"']
    for line, archive, text in zip(lines, ids, written, strict=True):
        pattern = rf'"?{re.escape(archive)}"?,{re.escape(text)},"?{WHOLE_SECONDS}"?,"?4"?,"?{tree_hash(b"data")}"?'
        assert re.fullmatch(pattern, line), line
    rows = list(csv.DictReader(io.StringIO(body), doublequote=False, escapechar="\\"))
    # Python's reader takes the backslash that isn't escaped for one that escapes: ambiguous by design.
    assert [row["ArchiveDescription"] for row in rows] == [*descriptions[:4], "backslash"]
    assert [row["ArchiveId"] for row in rows] == ids


def test_inventories_are_stale(clocked, slow_vault):
    """5.1, 3.26: a job retrieves the last inventory as of its initiation, not what the vault holds."""
    first = slow_vault.upload()
    clocked.advance("25h")
    second = slow_vault.upload()
    job = slow_vault.start(Type="inventory-retrieval")
    slow_vault.delete_archive(archiveId=first)
    clocked.advance("23h")
    document = json.loads(slow_vault.output(job))
    assert [archive["ArchiveId"] for archive in document["ArchiveList"]] == [first]
    clocked.advance("2h")
    job = slow_vault.start(Type="inventory-retrieval")
    clocked.advance("5h")
    later = json.loads(slow_vault.output(job))
    assert [archive["ArchiveId"] for archive in later["ArchiveList"]] == [second]
    assert later["InventoryDate"] > document["InventoryDate"]
    described = slow_vault.describe_vault()["LastInventoryDate"]
    assert described[:19] == later["InventoryDate"][:19]


def test_an_unchanged_vault_keeps_its_inventory(clocked, slow_vault):
    """5.1: the same document is answered, with its date."""
    slow_vault.upload()
    clocked.advance("25h")
    jobs = [slow_vault.start(Type="inventory-retrieval")]
    clocked.advance("5h")
    documents = [slow_vault.output(jobs[0])]
    clocked.advance("100h")
    jobs.append(slow_vault.start(Type="inventory-retrieval"))
    clocked.advance("5h")
    documents.append(slow_vault.output(jobs[1]))
    assert documents[0] == documents[1]


def test_an_inventory_on_demand(clocked, slow_vault):
    """5.1: testing needs a way to force a new one; here the administration's."""
    archive = slow_vault.upload()
    clocked.admin("POST", "inventory", {"vault": slow_vault.name})
    assert slow_vault.describe_vault()["NumberOfArchives"] == 1
    slow_vault.delete_archive(archiveId=archive)
    clocked.admin("POST", "inventory", {"vault": slow_vault.name})
    slow_vault.delete_vault()


def test_dates(clocked, slow_vault):
    """1.6, 3.26: StartDate <= creation < EndDate, in any zone, with fractions or without."""
    for name in "abc":
        slow_vault.upload(description=name)
        clocked.advance("1h")
    clocked.advance("25h")

    def inventory(**parameters):
        job = slow_vault.start(Type="inventory-retrieval", InventoryRetrievalParameters=parameters)
        clocked.advance("5h")
        return json.loads(slow_vault.output(job))["ArchiveList"]

    listed = inventory()
    names = lambda archives: "".join(archive["ArchiveDescription"] for archive in archives)
    assert names(listed) == "abc"
    # An archive of the second named was created in it or at most 999 ms later.
    a, b, c = (archive["CreationDate"] for archive in listed)
    assert names(inventory(StartDate=b)) == "bc"
    assert names(inventory(EndDate=b)) == "a"
    assert names(inventory(StartDate=b, EndDate=c)) == "b"
    assert names(inventory(StartDate=b[:-1] + ".000Z", EndDate=c[:-1] + ".0Z")) == "b"
    assert names(inventory(StartDate=b[:-1] + "+00:00")) == "bc"
    assert names(inventory(StartDate=b[:-1] + "+01:00")) == "abc"
    assert names(inventory(StartDate=b[:-1] + "-01:00")) in ("c", "bc")
    assert names(inventory(StartDate=c, EndDate=a)) == ""


def test_limit_and_marker(vault):
    """3.26, 3.27: with more left, DescribeJob gives the marker that starts the next job; null when nothing is."""
    ids = [vault.upload(description=str(i)) for i in range(7)]
    pages, marker = [], None
    while True:
        parameters = {"Limit": "3"} | ({"Marker": marker} if marker else {})
        job = vault.start(Type="inventory-retrieval", InventoryRetrievalParameters=parameters)
        pages.append([archive["ArchiveId"] for archive in json.loads(vault.output(job))["ArchiveList"]])
        described = vault.raw("GET", f"/jobs/{job}").json()["InventoryRetrievalParameters"]
        assert described["Limit"] == "3"
        marker = described["Marker"]
        if marker is None:
            break
    assert pages == [ids[:3], ids[3:6], ids[6:]]
    assert len(vault.inventory(Limit="7")) == 7
    job = vault.start(Type="inventory-retrieval", InventoryRetrievalParameters={"Limit": "7"})
    assert vault.raw("GET", f"/jobs/{job}").json()["InventoryRetrievalParameters"]["Marker"] is None
    assert [archive["ArchiveId"] for archive in vault.inventory(Limit="1000000")] == ids


def test_an_empty_inventory(vault):
    """3.29, 5.1: of a vault whose last archive is gone."""
    vault.delete_archive(archiveId=vault.upload())
    time.sleep(0.01)
    assert vault.inventory() == []
    body = vault.output(vault.start(Type="inventory-retrieval", Format="CSV"))
    assert body.decode().splitlines() == ["ArchiveId,ArchiveDescription,CreationDate,Size,SHA256TreeHash"]


def test_a_limit_that_is_a_number(vault):
    """1.5: Limit is a string; a number is read as well or refused, and shown as a string."""
    vault.upload()
    answer = vault.raw("POST", "/jobs", {"Type": "inventory-retrieval", "InventoryRetrievalParameters": {"Limit": 5}})
    if answer.status == 202:
        job = vault.raw("GET", f"/jobs/{answer.headers['x-amz-job-id']}").json()
        assert job["InventoryRetrievalParameters"]["Limit"] == "5"
    else:
        assert answer.error()[:2] == ("SerializationException", 400)
    refused("InvalidParameterValueException", 400, vault.inventory, Limit="-1")
