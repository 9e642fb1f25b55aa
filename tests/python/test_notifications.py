"""5.3: a queue that is subscribed to a topic gets the completion of jobs, by moto's SNS and SQS."""

import json
import socket

from harness import Topic, ok

MEMBERS = [
    "Action", "ArchiveId", "ArchiveSHA256TreeHash", "ArchiveSizeInBytes", "Completed", "CompletionDate", "CreationDate",
    "InventoryRetrievalParameters", "InventorySizeInBytes", "JobDescription", "JobId", "RetrievalByteRange",
    "SHA256TreeHash", "SNSTopic", "StatusCode", "StatusMessage", "Tier", "VaultARN",
]  # fmt: skip
CLOCK = ("--admin", "--clock", "virtual")


def test_a_queue_gets_what_a_job_became(serve, moto):
    """5.3, 3.5: the topic of the job and that of the vault are told, of success and of failure, with explicit nulls."""
    mine, theirs = Topic(moto, "job"), Topic(moto, "vault")
    endpoint = serve("--sns-endpoint", moto, *CLOCK)
    vault = endpoint.vault()
    events = ["ArchiveRetrievalCompleted"]
    ok(vault.set_vault_notifications(vaultNotificationConfig={"SNSTopic": theirs.arn, "Events": events}), 204)
    archive = vault.upload(b"data")
    job = vault.retrieve(archive, SNSTopic=mine.arn, Description="for me")
    endpoint.advance("4h")

    text = mine.next()
    message = json.loads(text)
    assert list(message) == MEMBERS
    assert theirs.next() == text
    described = vault.describe_job(jobId=job)
    described.pop("ResponseMetadata")
    assert {name: value for name, value in message.items() if value is not None} == described
    assert message["StatusCode"] == "Succeeded" and message["SNSTopic"] == mine.arn
    assert message["InventorySizeInBytes"] is None and message["InventoryRetrievalParameters"] is None

    # The vault didn't ask to be told of inventories.
    endpoint.admin("POST", "inventory", {"vault": vault.name})
    job = vault.start(Type="inventory-retrieval", SNSTopic=mine.arn)
    endpoint.advance("4h")
    message = json.loads(mine.next())
    assert (message["JobId"], message["Action"]) == (job, "InventoryRetrieval")
    assert message["InventoryRetrievalParameters"]["Format"] == "JSON" and message["InventorySizeInBytes"] > 0

    failing = vault.retrieve(archive, SNSTopic=mine.arn)
    vault.delete_archive(archiveId=archive)
    message = json.loads(mine.next())
    assert (message["JobId"], message["StatusCode"], message["Completed"]) == (failing, "Failed", True)
    assert json.loads(theirs.next())["JobId"] == failing
    assert mine.is_empty() and theirs.is_empty()


def test_the_same_topic_gets_two(serve, moto):
    """5.3: a topic that is both the job's and the vault's is told twice."""
    topic = Topic(moto, "both")
    endpoint = serve("--sns-endpoint", moto, *CLOCK)
    vault = endpoint.vault()
    events = ["InventoryRetrievalCompleted", "ArchiveRetrievalCompleted"]
    vault.set_vault_notifications(vaultNotificationConfig={"SNSTopic": topic.arn, "Events": events})
    vault.retrieve(vault.upload(b"data"), SNSTopic=topic.arn)
    endpoint.advance("4h")
    assert topic.next() == topic.next()
    assert topic.is_empty()


def test_by_the_real_clock(serve, moto):
    """5.3: nothing has to be asked for a completion to be told of when its time has come."""
    topic = Topic(moto, "real")
    endpoint = serve("--sns-endpoint", moto, "--retrieval-delay", "all=1s")
    vault = endpoint.vault()
    job = vault.retrieve(vault.upload(b"data"), SNSTopic=topic.arn)
    message = json.loads(topic.next())
    assert (message["JobId"], message["StatusCode"]) == (job, "Succeeded")
    assert message["CompletionDate"] > message["CreationDate"]


def test_a_crash_loses_no_message(serve, moto):
    """5.3: what couldn't be told before a kill -9 is told after it, and so is what completed in between."""
    topic = Topic(moto, "crash")
    with socket.socket() as silent:
        # Nobody listens there.
        silent.bind(("127.0.0.1", 0))
        endpoint = serve("--sns-endpoint", f"http://127.0.0.1:{silent.getsockname()[1]}", *CLOCK)
        vault = endpoint.vault()
        archive = vault.upload(b"data")
        jobs = {vault.retrieve(archive, SNSTopic=topic.arn, Tier=tier) for tier in ("Standard", "Bulk")}
        endpoint.advance("4h")
        endpoint.kill()
    endpoint.options = ("--sns-endpoint", moto, *CLOCK)
    endpoint.start()
    endpoint.advance("4h")
    told = set()
    while told != jobs:
        told.add(json.loads(topic.next())["JobId"])
