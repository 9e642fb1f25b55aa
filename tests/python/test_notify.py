"""A mount that is told by a queue when its retrievals are ready: an endpoint, moto's SNS and SQS, and a mount between them."""

import json
import pathlib
import subprocess
import time

from harness import PATIENCE, REGION, Topic, pattern
from mounting import wait_until

CLOCK = ("--admin", "--clock", "virtual")
AT_ONCE = 2  # seconds that a read may take after its job's end; looks that nobody asks for come minutes later
SIZE = 3_000_000


def cold_file(mounted, name):
    """A new file that isn't local."""
    path = mounted.path / "v" / name
    path.write_bytes(name.encode() + pattern(SIZE))
    mounted.archive_and_evict(path)
    return path


def read(mounted, name):
    """Begins to read a new cold file, and waits until its job runs."""
    path, before = cold_file(mounted, name), set(mounted.jobs())
    reader = Reader(path)
    wait_until(lambda: set(mounted.jobs()) - before)
    [reader.job] = set(mounted.jobs()) - before
    return reader


class Reader:
    """A program that reads a file, and where it is."""

    def __init__(self, path: pathlib.Path):
        self.name = path.name
        self.process = subprocess.Popen(["cat", path], stdout=subprocess.PIPE)

    def is_waiting(self):
        return self.process.poll() is None

    def ends(self):
        """Waits until it has read all of it, and checks what that was; the seconds it took."""
        began = time.monotonic()
        data, _ = self.process.communicate(timeout=PATIENCE)
        took = time.monotonic() - began
        assert self.process.returncode == 0
        assert data == self.name.encode() + pattern(SIZE)
        return took


def read_the_first(mounted, topic):
    """Reads a cold file, so that retrievals are known to take hours, and then has the vault tell the topic of jobs; its reader."""
    first = read(mounted, "first")
    mounted.endpoint.advance("4h")
    first.ends()
    mounted.publish_to(topic)
    return first


class Requests:
    """Counts requests to the endpoint."""

    def __init__(self, endpoint):
        self.endpoint = endpoint
        # Rules that let everything pass.
        rules = [{"operation": name, "skip": 1 << 40, "fault": {"delay": "0s"}} for name in ("DescribeJob", "ListJobs")]
        endpoint.admin("PUT", "faults", {"seed": 1, "rules": rules})

    def count(self):
        return tuple(rule["seen"] for rule in self.endpoint.admin("GET", "faults")["rules"])


def test_who_waits_is_woken(serve, moto, mount):
    """Promise: a read returns within a second or so of its job's end, though no look is due for minutes; one of whose job nothing is told,
    or whose message is lost, returns as well."""
    topic = Topic(moto, "woken")
    endpoint = serve("--sns-endpoint", moto, *CLOCK)
    mounted = mount(endpoint, notify=f"sqs:{topic.queue}")
    # With this the queue is known to work, and looks become seldom.
    topic.send("hello")
    wait_until(topic.has_nothing)
    # The vault doesn't tell anybody yet.
    lost = read(mounted, "lost")
    endpoint.advance("4h")
    print("by a look:", lost.ends())

    mounted.publish_to(topic)
    for name in ("told", "told again"):
        # A retrieval is known to take hours now.
        reader = read(mounted, name)
        time.sleep(3)
        requests = Requests(endpoint)
        assert reader.is_waiting()
        endpoint.advance("4h")
        took = reader.ends()
        print("by a message:", took)
        assert took < AT_ONCE
        assert requests.count() == (1, 0), "one job is looked at, and no list"
    wait_until(topic.has_nothing)
    assert mounted.status()["notify_trouble"] is None


def test_messages_are_hints(serve, moto, mount):
    """Promise: doubled, foreign and forged messages, and such as are no messages at all, wake nobody, change nothing, are deleted, and cost
    a look at the job that they name at most; who waits is woken by the true one."""
    topic = Topic(moto, "hints")
    endpoint = serve("--sns-endpoint", moto, *CLOCK)
    mounted = mount(endpoint, notify=f"sqs:{topic.queue}")
    first = read_the_first(mounted, topic)
    reader = read(mounted, "file")
    time.sleep(1)
    requests = Requests(endpoint)

    arn = f"arn:aws:glacier:{REGION}:000000000000:vaults/"
    said = {"Action": "ArchiveRetrieval", "Completed": True, "StatusCode": "Succeeded", "VaultARN": arn + "v"}
    forged = json.dumps(said | {"JobId": reader.job})
    failed = json.dumps(said | {"JobId": reader.job, "StatusCode": "Failed"})
    naming_it = [forged, forged, json.dumps({"Type": "Notification", "Message": forged}), failed]
    others = [
        json.dumps(said | {"JobId": first.job}),
        json.dumps(said | {"JobId": "x" * 92}),
        json.dumps(said | {"JobId": reader.job, "VaultARN": arn + "another"}),
        json.dumps(said | {"JobId": reader.job, "VaultARN": "v"}),
        json.dumps(said | {"JobId": 7}),
        json.dumps({"Records": [{"eventName": "ObjectCreated:Put", "s3": {"bucket": {"name": "b"}}}]}),
        json.dumps({"Message": forged[:-1]}),
        json.dumps(said | {"JobId": reader.job, "JobDescription": "x" * 200_000}),
        "[" * 200_000,
        "hello",
        " ",
    ]
    for text in naming_it + others:
        topic.send(text)
    wait_until(topic.has_nothing)
    looked = requests.count()
    assert 1 <= looked[0] <= len(naming_it) and looked[1] == 0
    time.sleep(3)
    assert requests.count() == looked, "nothing goes on without a message"
    assert reader.is_waiting()

    # Of another client's job in the same vault comes a true message.
    [archive] = {job["ArchiveId"] for job in mounted.jobs().values() if job["JobId"] == reader.job}
    foreign = mounted.glacier.initiate_job(
        vaultName="v", jobParameters={"Type": "archive-retrieval", "ArchiveId": archive, "Tier": "Expedited"}
    )["jobId"]
    endpoint.advance("10min")
    wait_until(lambda: mounted.jobs()[foreign]["Completed"])
    time.sleep(1)
    wait_until(topic.has_nothing)
    assert requests.count()[0] == looked[0] and reader.is_waiting()

    endpoint.advance("4h")
    took = reader.ends()
    print("by a message:", took)
    assert took < AT_ONCE
    # And once more, when nobody waits any more.
    topic.send(forged)
    wait_until(topic.has_nothing)
    status = mounted.status()
    assert status["notify_trouble"] is None and status["recall_trouble"] is None
    assert all(job["state"] != "waiting" for job in status["jobs"])
    assert "WARN" not in mounted.log() and "ERROR" not in mounted.log()


def test_without_an_envelope(serve, moto, mount):
    """Promise: messages that the topic delivers raw are as good."""
    topic = Topic(moto, "raw", RawMessageDelivery="true")
    endpoint = serve("--sns-endpoint", moto, *CLOCK)
    mounted = mount(endpoint, notify=f"sqs:{topic.queue}")
    read_the_first(mounted, topic)
    reader = read(mounted, "file")
    time.sleep(1)
    endpoint.advance("4h")
    assert reader.ends() < AT_ONCE


def test_a_queue_in_trouble(serve, moto, mount):
    """Promise: a queue that can't be read is told of once in the log and for as long as it lasts in the status; reads go on meanwhile as
    without it; and it is heard as soon as it is there."""
    topic = Topic(moto, "trouble")
    endpoint = serve("--sns-endpoint", moto, *CLOCK)
    topic.sqs.delete_queue(QueueUrl=topic.queue)
    mounted = mount(endpoint, {"AWS_ENDPOINT_URL_SQS": moto}, notify="sqs:trouble")
    wait_until(lambda: mounted.status()["notify_trouble"])
    assert "trouble" in mounted.status()["notify_trouble"]["reason"]
    assert "No notifications" in mounted.glacierfs("status", mounted.path)
    reader = read(mounted, "meanwhile")
    endpoint.advance("4h")
    reader.ends()
    time.sleep(3)
    assert mounted.status()["recall_trouble"] is None
    assert mounted.log().count("nothing is heard of jobs") == 1, mounted.log()

    topic.subscribe_queue()
    topic.send("the first message ends the wait for one")
    wait_until(lambda: mounted.status()["notify_trouble"] is None)
    mounted.publish_to(topic)
    reader = read(mounted, "told")
    time.sleep(1)
    endpoint.advance("4h")
    assert reader.ends() < AT_ONCE
