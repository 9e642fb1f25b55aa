"""What boto3 makes of the endpoint's injected faults: each kind is an error that it reports or retries."""

import time

import botocore.exceptions
import pytest
from harness import MIB, pattern, tree_hash


@pytest.fixture
def faulty(serve):
    """An endpoint, and a vault with an archive whose job is done: `strike(operation, fault)` lets the next one fail."""
    endpoint = serve("--admin", "--retrieval-delay", "all=0s", "--inventory-interval", "0s")
    vault = endpoint.vault()

    def strike(operation, fault, count=1):
        endpoint.admin(
            "PUT", "faults", {"seed": 1, "rules": [{"operation": operation, "count": count, "fault": fault}]}
        )

    yield vault, strike
    endpoint.admin("DELETE", "faults")


def retrieved(vault, data):
    job = vault.retrieve(vault.upload(data))
    return job, lambda: vault.get_job_output(jobId=job)


def test_a_truncated_body(faulty):
    """7.1: the stream compares Content-Length."""
    vault, strike = faulty
    _, output = retrieved(vault, pattern(MIB))
    strike("GetJobOutput", {"truncate": {"after": 1000}})
    with pytest.raises((botocore.exceptions.IncompleteReadError, botocore.exceptions.HTTPClientError)):
        output()["body"].read()
    assert output()["body"].read() == pattern(MIB)


def test_a_corrupted_body(faulty):
    """7.7.5: only the tree hash tells."""
    vault, strike = faulty
    _, output = retrieved(vault, pattern(MIB))
    strike("GetJobOutput", {"corrupt": {}})
    wrong = output()
    assert wrong["checksum"] == tree_hash(pattern(MIB)) != tree_hash(wrong["body"].read())


def test_a_reset_in_the_answer(faulty):
    """The rest doesn't come."""
    vault, strike = faulty
    _, output = retrieved(vault, pattern(MIB))
    strike("GetJobOutput", {"reset_response": {"after": 1000}})
    errors = (botocore.exceptions.BotoCoreError, OSError)
    with pytest.raises(errors):
        output()["body"].read()


def test_a_reset_in_the_request(faulty):
    """Nothing is done; a client that tries again succeeds once."""
    vault, strike = faulty
    strike("UploadArchive", {"reset_request": {}})
    with pytest.raises(botocore.exceptions.BotoCoreError):
        vault.upload(pattern(MIB))
    assert vault.describe_vault()["NumberOfArchives"] == 0
    strike("UploadArchive", {"reset_request": {}})
    patient = vault.endpoint.client(retries={"mode": "legacy", "total_max_attempts": 5})
    patient.upload_archive(vaultName=vault.name, body=pattern(MIB))
    assert vault.describe_vault()["NumberOfArchives"] == 1


def test_a_lost_answer(faulty):
    """1.13: it was done; so trying an upload again makes a second archive, but not completing one."""
    vault, strike = faulty
    strike("UploadArchive", {"lose_response": {}})
    with pytest.raises(botocore.exceptions.BotoCoreError):
        vault.upload()
    assert len(vault.inventory()) == 1
    upload = vault.initiate_multipart_upload(partSize=str(MIB))["uploadId"]
    vault.upload_multipart_part(uploadId=upload, range="bytes 0-3/*", body=b"data")
    strike("CompleteMultipartUpload", {"lose_response": {}})
    complete = lambda: vault.complete_multipart_upload(uploadId=upload, archiveSize="4", checksum=tree_hash(b"data"))
    with pytest.raises(botocore.exceptions.BotoCoreError):
        complete()
    archive = complete()["archiveId"]
    assert len(vault.inventory()) == 2 and vault.fetch(archive) == b"data"


def test_slow_answers(faulty):
    """They are only slow."""
    vault, strike = faulty
    began = time.monotonic()
    strike("DescribeVault", {"delay": "300ms"})
    vault.describe_vault()
    assert time.monotonic() - began >= 0.3
    _, output = retrieved(vault, pattern(5000))
    strike("GetJobOutput", {"drip": {"bytes_per_second": 10_000}})
    began = time.monotonic()
    assert output()["body"].read() == pattern(5000)
    assert time.monotonic() - began >= 0.3
