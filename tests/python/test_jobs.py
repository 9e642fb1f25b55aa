"""Jobs: initiate, describe, list (3.26 to 3.28), and how they end (5.2)."""

import json
import re

import boto3
import pytest
from harness import ACCOUNT, DATE, MIB, invalid, missing, ok, pattern, refused, tree_hash

TOPIC = f"arn:aws:sns:us-east-1:{ACCOUNT}:topic"
NULL = [
    "CompletionDate",
    "InventoryRetrievalParameters",
    "InventorySizeInBytes",
    "JobDescription",
    "JobOutputPath",
    "OutputLocation",
    "SelectParameters",
    "SNSTopic",
]


def post(vault, body):
    return vault.raw("POST", "/jobs", body)


def test_initiating(vault):
    """1.7, 3.26: 202, the ID in a header and in Location, no body."""
    answer = post(vault, {"Type": "archive-retrieval", "ArchiveId": vault.upload()})
    job = answer.headers["x-amz-job-id"]
    assert (answer.status, answer.body, answer.headers["Content-Length"], len(job)) == (202, b"", "0", 92)
    assert answer.headers["Location"] == f"/{ACCOUNT}/vaults/{vault.name}/jobs/{job}"


@pytest.mark.parametrize(
    "content_type", ["application/x-www-form-urlencoded; charset=utf-8", "application/octet-stream", "text/x", None]
)
def test_any_content_type(vault, content_type):
    """1.3, 7.6.2: is ignored, the body is JSON."""
    headers = {"Content-Type": content_type} if content_type else {}
    body = {"Type": "archive-retrieval", "ArchiveId": vault.upload()}
    assert vault.raw("POST", "/jobs", body, headers).status == 202


def test_explicit_nulls_and_unknown_members(vault):
    """1.5: null is as if absent, and what isn't known is ignored."""
    vault.upload()
    body = {
        "Type": "inventory-retrieval",
        "ArchiveId": None,
        "Description": None,
        "Format": None,
        "SNSTopic": None,
        "Tier": None,
        "RetrievalByteRange": None,
        "InventoryRetrievalParameters": {"StartDate": None, "EndDate": None, "Limit": None, "Marker": None},
        "SelectParameters": None,
        "OutputLocation": None,
        "Unknown": {"a": [1]},
    }
    answer = post(vault, body)
    assert answer.status == 202
    described = vault.raw("GET", f"/jobs/{answer.headers['x-amz-job-id']}").json()
    assert (described["Action"], described["InventoryRetrievalParameters"]["Format"]) == ("InventoryRetrieval", "JSON")


@pytest.mark.parametrize(
    "body,code,message",
    [
        (b"", "MissingParameterValueException", "Required parameter missing: Job Parameters"),
        (b"{}", "MissingParameterValueException", "Required parameter missing: type"),
        (b'{"Type": null}', "MissingParameterValueException", "Required parameter missing: type"),
        (
            b'{"jobParameters": {"Type": "inventory-retrieval"}}',
            "MissingParameterValueException",
            "Required parameter missing: type",
        ),
        (b"{", "SerializationException", ""),
        (b'{"Type": "inventory-retrieval",}', "SerializationException", ""),
        (b"Type=inventory-retrieval", "SerializationException", ""),
        (b'{"Type": ["x"]}', "SerializationException", ""),
        (b'{"Type": "archive-retrieval"}', "MissingParameterValueException", ""),
        (b'{"Type": "Archive-Retrieval"}', "InvalidParameterValueException", ""),
    ],
    ids=lambda value: value.decode() if isinstance(value, bytes) else "",
)
def test_bad_bodies(vault, body, code, message):
    """1.11, 3.26."""
    answer = post(vault, body).error()
    assert answer[:2] == (code, 400) and answer[2].startswith(message)


def test_no_parameters_by_boto3(vault):
    """7.1: InitiateJob without parameters sends {}."""
    message = refused("MissingParameterValueException", 400, vault.initiate_job)
    assert message == "Required parameter missing: type"


@pytest.mark.parametrize(
    "change",
    [
        {"Tier": "Fast"},
        {"Tier": "standard"},
        {"Format": "JSON"},
        {"RetrievalByteRange": "0"},
        {"RetrievalByteRange": "bytes=0-1048575"},
        {"RetrievalByteRange": "1-1048575"},
        {"RetrievalByteRange": "0-1048574"},
        {"RetrievalByteRange": "1048576-1048575"},
        {"RetrievalByteRange": "0-3145728"},
        {"RetrievalByteRange": "3145728-4194303"},
        {"RetrievalByteRange": "-1-1048575"},
        {"RetrievalByteRange": "0-99999999999999999999"},
        {"Description": "x" * 1025},
        {"Description": "caf\u00e9"},
        {"Description": "tab\t"},
    ],
    ids=str,
)
def test_bad_parameters_of_archive_jobs(vault, change):
    """3.26, 4.5: tiers are case-sensitive, ranges aligned to megabytes or the end, descriptions 0x20 to 0x7E."""
    archive = vault.upload(pattern(3 * MIB - 5))
    assert post(vault, {"Type": "archive-retrieval", "ArchiveId": archive} | change).error()[:2] == (
        "InvalidParameterValueException",
        400,
    )
    assert vault.list_jobs()["JobList"] == []


@pytest.mark.parametrize(
    "change",
    [
        {"ArchiveId": "x"},
        {"RetrievalByteRange": "0-1048575"},
        {"Format": "XML"},
        {"Format": "json"},
        {"InventoryRetrievalParameters": {"Limit": "0"}},
        {"InventoryRetrievalParameters": {"Limit": "x"}},
        {"InventoryRetrievalParameters": {"StartDate": "yesterday"}},
        {"InventoryRetrievalParameters": {"EndDate": "2013-13-01T00:00:00Z"}},
        {"InventoryRetrievalParameters": {"Marker": "x"}},
    ],
    ids=str,
)
def test_bad_parameters_of_inventory_jobs(vault, change):
    """3.26."""
    vault.upload()
    assert post(vault, {"Type": "inventory-retrieval"} | change).error()[:2] == ("InvalidParameterValueException", 400)
    assert vault.list_jobs()["JobList"] == []


def test_select_jobs(vault):
    """3.26: are refused, whole as they may be."""
    csv = {"csv": {}}
    expression = {"ExpressionType": "SQL", "Expression": "select * from archive"}
    body = {
        "Type": "select",
        "ArchiveId": vault.upload(),
        "Tier": "Expedited",
        "SelectParameters": {"InputSerialization": csv, "OutputSerialization": csv, **expression},
        "OutputLocation": {"S3": {"BucketName": "bucket", "Prefix": "prefix"}},
    }
    assert post(vault, body).error()[:2] == ("InvalidParameterValueException", 400)


def test_unknown_archives(vault):
    """1.11, 3.26."""
    for archive in ("x", "y" * 138):
        assert missing(vault.retrieve, archive) == f"The archive ID was not found: {archive}"


def test_describing_an_archive_job(vault):
    """3.27: exactly the documented members with explicit nulls, from start to end."""
    data = pattern(6815744)
    archive = vault.upload(data)
    parameters = {"Description": "d", "SNSTopic": TOPIC, "RetrievalByteRange": "2097152-4194303", "Tier": "Bulk"}
    job = vault.retrieve(archive, **parameters)
    described = vault.raw("GET", f"/jobs/{job}").json()
    assert re.fullmatch(DATE, described.pop("CreationDate"))
    expected = dict.fromkeys(NULL) | {
        "Action": "ArchiveRetrieval",
        "ArchiveId": archive,
        "ArchiveSHA256TreeHash": tree_hash(data),
        "ArchiveSizeInBytes": 6815744,
        "Completed": False,
        "JobDescription": "d",
        "JobId": job,
        "RetrievalByteRange": "2097152-4194303",
        "SHA256TreeHash": tree_hash(data[2097152:4194304]),
        "SNSTopic": TOPIC,
        "StatusCode": "InProgress",
        "StatusMessage": "Operation in progress.",
        "Tier": "Bulk",
        "VaultARN": vault.arn,
    }
    assert described == expected


def test_defaults_of_an_archive_job(vault):
    """3.27: the whole range, Standard, and "Succeeded" when it is done."""
    data = pattern(2 * MIB + 7)
    job = vault.retrieve(vault.upload(data))
    described = vault.raw("GET", f"/jobs/{job}").json()
    assert re.fullmatch(DATE, described["CompletionDate"]) and described["CompletionDate"] >= described["CreationDate"]
    assert (described["Completed"], described["StatusCode"], described["StatusMessage"]) == (
        True,
        "Succeeded",
        "Succeeded",
    )
    assert (described["RetrievalByteRange"], described["Tier"]) == (f"0-{len(data) - 1}", "Standard")
    assert described["SHA256TreeHash"] == described["ArchiveSHA256TreeHash"] == tree_hash(data)
    assert described["JobDescription"] is None and described["SNSTopic"] is None


def test_describing_an_inventory_job(vault):
    """3.27: what was asked for is shown as strings; the size when it is done."""
    vault.upload()
    asked = {"Limit": "10", "StartDate": "2013-03-20T17:03:43Z", "EndDate": "2100-03-20T17:03:43Z"}
    job = vault.start(Type="inventory-retrieval", Format="CSV", InventoryRetrievalParameters=asked)
    described = vault.raw("GET", f"/jobs/{job}").json()
    assert described["InventoryRetrievalParameters"] == asked | {"Format": "CSV", "Marker": None}
    assert described["InventorySizeInBytes"] == len(vault.output(job))
    for name in ("ArchiveId", "ArchiveSHA256TreeHash", "ArchiveSizeInBytes", "RetrievalByteRange", "SHA256TreeHash"):
        assert described[name] is None, name
    assert (described["Action"], described["JobOutputPath"]) == ("InventoryRetrieval", None)


def test_unknown_jobs(endpoint, vault):
    """1.11, 3.27: also a job of another vault."""
    other = endpoint.vault()
    job = other.retrieve(other.upload())
    for unknown in ("x", job):
        message = f"The job ID was not found: {unknown}"
        assert missing(vault.describe_job, jobId=unknown) == message
        assert missing(vault.get_job_output, jobId=unknown) == message


def test_listing(vault):
    """1.5, 1.10, 3.28: the same objects as DescribeJob's, 50 a page, filters combine, the order is stable."""
    assert vault.raw("GET", "/jobs").body == b'{"JobList":[],"Marker":null}'
    archive = vault.upload()
    done = [vault.retrieve(archive) for _ in range(5)]
    running = [vault.retrieve(archive, Tier="Bulk") for _ in range(55)]
    page = vault.raw("GET", "/jobs").json()
    assert (list(page), len(page["JobList"]), page["Marker"] is None) == (["JobList", "Marker"], 50, False)
    for job in page["JobList"][::10]:
        assert job == vault.raw("GET", f"/jobs/{job['JobId']}").json()

    def listed(**filters):
        walk = vault.client.get_paginator("list_jobs").paginate(vaultName=vault.name, **filters)
        return [job["JobId"] for page in walk for job in page["JobList"]]

    everything = listed()
    assert everything in (done + running, (done + running)[::-1])
    for size in (1, 7, 50, 1000):
        assert listed(PaginationConfig={"PageSize": size}) == everything
    assert set(listed(completed="true")) == set(done) == set(listed(statuscode="Succeeded"))
    assert set(listed(completed="false")) == set(running) == set(listed(statuscode="InProgress"))
    assert listed(statuscode="Failed") == []
    assert set(listed(completed="true", statuscode="Succeeded")) == set(done)
    assert listed(completed="false", statuscode="Succeeded") == []
    assert invalid(listed, statuscode="Done") == "The job status code is not valid: Done"
    invalid(listed, completed="maybe")
    for query in ("limit=0", "limit=x", "marker=x"):
        assert vault.raw("GET", f"/jobs?{query}").error()[:2] == ("InvalidParameterValueException", 400), query


@pytest.mark.parametrize("tier,hours", [("Expedited", 0.1), ("Standard", 5), ("Bulk", 12)])
def test_jobs_take_their_time(clocked, slow_vault, tier, hours):
    """3.26, 5.2: hours, by tier; then a day in which the output can be read; then the job never was."""
    job = slow_vault.retrieve(slow_vault.upload(b"patience"), Tier=tier)
    assert slow_vault.describe_job(jobId=job)["StatusCode"] == "InProgress"
    message = f"The job is not currently available for download: {job}"
    assert invalid(slow_vault.get_job_output, jobId=job) == message
    clocked.advance("1m")
    assert slow_vault.describe_job(jobId=job)["Completed"] is False
    clocked.advance(f"{int(hours * 60)}m")
    assert slow_vault.describe_job(jobId=job)["StatusCode"] == "Succeeded"
    assert [slow_vault.output(job) for _ in range(2)] == [b"patience"] * 2
    clocked.advance(f"{24 * 60 - int(hours * 60)}m")
    assert slow_vault.output(job) == b"patience"
    clocked.advance(f"{int(hours * 60) + 1}m")
    assert missing(slow_vault.describe_job, jobId=job) == f"The job ID was not found: {job}"
    missing(slow_vault.get_job_output, jobId=job)
    assert slow_vault.list_jobs()["JobList"] == []


def test_a_job_whose_archive_is_deleted(clocked, slow_vault):
    """3.18, 3.27, 5.2: fails when its time comes: completed, a reason, no output; it is listed as failed for a day."""
    archive = slow_vault.upload()
    kept, job = slow_vault.retrieve(slow_vault.upload()), slow_vault.retrieve(archive)
    slow_vault.delete_archive(archiveId=archive)
    clocked.advance("5h")
    described = slow_vault.raw("GET", f"/jobs/{job}").json()
    assert (described["Completed"], described["StatusCode"]) == (True, "Failed")
    assert described["StatusMessage"] and re.fullmatch(DATE, described["CompletionDate"])
    assert invalid(slow_vault.get_job_output, jobId=job) == f"The job is not currently available for download: {job}"
    ids = lambda **filters: [job["JobId"] for job in slow_vault.list_jobs(**filters)["JobList"]]
    assert ids(statuscode="Failed") == ids(statuscode="Failed", completed="true") == [job]
    assert ids(statuscode="Succeeded") == [kept] and set(ids(completed="true")) == {kept, job}
    assert ids(statuscode="Failed", completed="false") == []
    clocked.advance("25h")
    missing(slow_vault.describe_job, jobId=job)


def test_the_resource_layer(endpoint, vault):
    """7.1: boto3's resources are built from the x-amz headers of answers."""
    access, secret = endpoint.key()
    session = boto3.Session(access, secret, region_name="us-east-1")
    resource = session.resource("glacier", endpoint_url=endpoint.url)
    found = resource.Vault("-", vault.name)
    archive = found.upload_archive(body=b"by resource")
    job = archive.initiate_archive_retrieval()
    assert job.get_output()["body"].read() == b"by resource"
    assert json.loads(found.initiate_inventory_retrieval().get_output()["body"].read())["ArchiveList"]
    upload = found.initiate_multipart_upload(partSize=str(MIB))
    upload.upload_part(range="bytes 0-3/*", body=b"part")
    ok(upload.complete(archiveSize="4", checksum=tree_hash(b"part")), 201)
