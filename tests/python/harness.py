"""A running `glacierfs serve`, boto3 clients of it, and requests that no client would send.

Section numbers in the tests are those of the conformance matrix that the endpoint is written to.
"""

import configparser
import functools
import hashlib
import http.client
import io
import itertools
import json
import os
import pathlib
import re
import select
import signal
import socket
import subprocess
import time
import urllib.parse
from datetime import UTC, datetime

import boto3
import botocore.auth
import botocore.awsrequest
import botocore.config
import botocore.credentials
import botocore.exceptions
import botocore.utils
import pytest

PROGRAM = os.environ.get("GLACIERFS", str(pathlib.Path(__file__).parents[2] / "target/debug/glacierfs"))
REGION = "us-east-1"
ACCOUNT = "000000000000"
OTHER = "111122223333"
MIB = 1 << 20
PATIENCE = 60  # seconds for anything
DATE = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"
VERSION = {"x-amz-glacier-version": "2012-06-01"}


def pattern(size):
    """Bytes that differ from place to place: the byte at i is i % 251, as in the published vectors."""
    return (bytes(range(251)) * (size // 251 + 1))[:size]


def tree_hash(data):
    return botocore.utils.calculate_tree_hash(io.BytesIO(data))


def hashes(data):
    """The two headers that every upload needs."""
    return {"x-amz-content-sha256": hashlib.sha256(data).hexdigest(), "x-amz-sha256-tree-hash": tree_hash(data)}


def aws_environment(data, profile="glacierfs"):
    """An environment in which AWS tools find the endpoint's key, and nothing of the person's own configuration."""
    mine = {key: value for key, value in os.environ.items() if not key.startswith(("AWS_", "GLACIERFS"))}
    return mine | {
        "AWS_CONFIG_FILE": "/dev/null",
        "AWS_SHARED_CREDENTIALS_FILE": str(data / "credentials"),
        "AWS_PROFILE": profile,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_PAGER": "",
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def peak_memory(pid):
    """How many bytes of memory a process has at most had resident."""
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmHWM:\s*(\d+) kB", status)[1]) * 1024


class Answer:
    """A response as it was on the wire."""

    def __init__(self, response):
        self.status, self.headers, self.body = response.status, response.headers, response.read()

    def json(self):
        return json.loads(self.body)

    def error(self):
        """Code, status and message of an error, whose envelope is checked (1.11)."""
        assert self.headers["Content-Type"] == "application/json", self
        envelope = self.json()
        assert list(envelope) == ["code", "message", "type"] and envelope["type"] in ("Client", "Server", "Unknown")
        # Compact, as the real service writes it.
        assert self.body.decode() == json.dumps(envelope, separators=(",", ":"), ensure_ascii=False)
        return envelope["code"], self.status, envelope["message"]

    def __repr__(self):
        return f"{self.status} {dict(self.headers)} {self.body[:1000]!r}"


class Signer(botocore.auth.SigV4Auth):
    """botocore's signer, for any moment."""

    def sign(self, request, moment):
        request.context["timestamp"] = moment.strftime("%Y%m%dT%H%M%SZ")
        self._modify_request_before_signing(request)
        canonical = self.canonical_request(request)
        self._inject_signature_to_request(request, self.signature(self.string_to_sign(request, canonical), request))


class Endpoint:
    """A `glacierfs serve` in a process of its own."""

    def __init__(self, data, *options):
        self.data, self.options, self.numbers = pathlib.Path(data), options, itertools.count(1)
        self.start()

    def start(self, listen="127.0.0.1:0"):
        command = [PROGRAM, "serve", "--data", self.data, "--listen", listen, "--log", "warn", *self.options]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        ready, _, _ = select.select([self.process.stdout], [], [], PATIENCE)
        assert ready, f"{command} didn't get ready in {PATIENCE} s"
        self.url = self.process.stdout.readline().strip()
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+", self.url), f"no URL but {self.url!r}"
        self.address = self.url.removeprefix("http://")
        self.glacier = self.client()

    def kill(self):
        """As a power cut would end it."""
        self.process.kill()
        self.process.wait(PATIENCE)
        self.process.stdout.close()

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            status = self.process.wait(PATIENCE)
            self.process.stdout.close()
            assert status == 0, f"glacierfs serve ended with {status}"

    def key(self, profile="glacierfs"):
        """The key of a profile: ID and secret."""
        parser = configparser.ConfigParser()
        parser.read(self.data / "credentials")
        return parser[profile]["aws_access_key_id"], parser[profile]["aws_secret_access_key"]

    def client(self, profile="glacierfs", key=None, region=REGION, **settings):
        """A boto3 client. It tries once, so that no retry hides a refusal, and sends what it is told to."""
        settings = {
            "retries": {"total_max_attempts": 1},
            "max_pool_connections": 70,
            "parameter_validation": False,
            **settings,
        }
        access, secret = key or self.key(profile)
        return boto3.Session(access, secret, region_name=region).client(
            "glacier", endpoint_url=self.url, config=botocore.config.Config(**settings)
        )

    def signed(
        self,
        method,
        path,
        body=b"",
        headers=None,
        *,
        version=VERSION,
        key=None,
        region=REGION,
        service="glacier",
        at=None,
    ):
        """A request, signed by botocore's signer."""
        request = botocore.awsrequest.AWSRequest(
            method=method, url=self.url + path, data=body, headers={**version, **(headers or {})}
        )
        credentials = botocore.credentials.Credentials(*(key or self.key()))
        Signer(credentials, service, region).sign(request, at or datetime.now(UTC))
        return request

    def raw(self, method, path, body=b"", headers=None, *, spoil=lambda request: None, **signing):
        """Sends a signed request, which `spoil` may change after signing."""
        body = json.dumps(body).encode() if isinstance(body, (dict, list)) else body
        request = self.signed(method, path, body, headers, **signing)
        spoil(request)
        return self.send(method, path, body, dict(request.headers.items()))

    def send(self, method, path, body=b"", headers=None):
        """Sends a request as it is."""
        connection = http.client.HTTPConnection(self.address, timeout=PATIENCE)
        try:
            connection.request(method, path, body or None, headers or {})
            return Answer(connection.getresponse())
        finally:
            connection.close()

    def admin(self, method, path, body=None, status=200):
        """A request of the endpoint's own administration."""
        token = (self.data / "admin-token").read_text().strip()
        headers = {"Authorization": f"Bearer {token}"}
        answer = self.send(method, f"/_glacierfs/{path}", json.dumps(body) if body is not None else b"", headers)
        assert answer.status // 100 == status // 100, answer
        return json.loads(answer.body or b"null")

    def advance(self, duration):
        """Moves the virtual clock: "3h", "1day"."""
        self.admin("POST", "clock", {"advance": duration})

    def vault(self, name=None, client=None):
        """A new vault."""
        vault = Vault(self, name or f"vault-{next(self.numbers)}", client)
        vault.create_vault()
        return vault

    def rss(self):
        """How many bytes of memory the server has at most had resident."""
        return peak_memory(self.process.pid)

    def socket(self):
        """A bare connection."""
        host, port = self.address.split(":")
        return socket.create_connection((host, int(port)), timeout=PATIENCE)


class Vault:
    """A vault, with the client's operations as methods."""

    def __init__(self, endpoint, name, client=None):
        self.endpoint, self.name, self.client = endpoint, name, client or endpoint.glacier
        self.path = f"/-/vaults/{urllib.parse.quote(name, safe='')}"
        self.arn = f"arn:aws:glacier:{REGION}:{ACCOUNT}:vaults/{name}"

    def __getattr__(self, operation):
        return functools.partial(getattr(self.client, operation), vaultName=self.name)

    def upload(self, data=b"data", description=""):
        return self.upload_archive(body=data, archiveDescription=description)["archiveId"]

    def start(self, **parameters):
        """Initiates a job; its ID."""
        return self.initiate_job(jobParameters=parameters)["jobId"]

    def retrieve(self, archive, **parameters):
        return self.start(Type="archive-retrieval", ArchiveId=archive, **parameters)

    def wait(self, job):
        """Waits until a job has succeeded; its description."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            described = self.describe_job(jobId=job)
            if described["Completed"]:
                assert described["StatusCode"] == "Succeeded", described
                return described
            time.sleep(0.05)
        raise AssertionError(f"the job {job} isn't done after {PATIENCE} s")

    def output(self, job, **parameters):
        return self.get_job_output(jobId=job, **parameters)["body"].read()

    def fetch(self, archive):
        """The bytes of an archive, by a job of its own."""
        job = self.retrieve(archive, Tier="Expedited")
        self.wait(job)
        return self.output(job)

    def inventory(self, **parameters):
        """The archives in the inventory, by a job of its own."""
        job = self.start(
            Type="inventory-retrieval", **({"InventoryRetrievalParameters": parameters} if parameters else {})
        )
        self.wait(job)
        return json.loads(self.output(job))["ArchiveList"]

    def raw(self, method, rest="", *arguments, **settings):
        return self.endpoint.raw(method, self.path + rest, *arguments, **settings)


class Topic:
    """A topic with a queue that is subscribed to it."""

    def __init__(self, moto, name, **attributes):
        session = boto3.Session("testing", "testing", region_name=REGION)
        self.sns, self.sqs = (session.client(service, endpoint_url=moto) for service in ("sns", "sqs"))
        self.name, self.attributes = name, attributes
        self.arn = self.sns.create_topic(Name=name)["TopicArn"]
        self.subscribe_queue()

    def subscribe_queue(self):
        """Makes the queue, and subscribes it."""
        self.queue = self.sqs.create_queue(QueueName=self.name)["QueueUrl"]
        queue = self.sqs.get_queue_attributes(QueueUrl=self.queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        self.sns.subscribe(TopicArn=self.arn, Protocol="sqs", Endpoint=queue, Attributes=self.attributes)

    def send(self, text):
        """Puts a message into the queue that the topic knows nothing of."""
        self.sqs.send_message(QueueUrl=self.queue, MessageBody=text)

    def next(self):
        """The message that the queue gets next, as text."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            received = self.sqs.receive_message(QueueUrl=self.queue, WaitTimeSeconds=1).get("Messages", [])
            for message in received:
                self.sqs.delete_message(QueueUrl=self.queue, ReceiptHandle=message["ReceiptHandle"])
                envelope = json.loads(message["Body"])
                assert (envelope["Type"], envelope["TopicArn"]) == ("Notification", self.arn)
                return envelope["Message"]
        raise AssertionError(f"the queue of {self.arn} got nothing in {PATIENCE} s")

    def is_empty(self):
        return not self.sqs.receive_message(QueueUrl=self.queue).get("Messages")

    def has_nothing(self):
        """Whether all messages were deleted: none waits, and none is in somebody's hands."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        counts = self.sqs.get_queue_attributes(QueueUrl=self.queue, AttributeNames=names)["Attributes"]
        return all(counts[name] == "0" for name in names)


def refused(code, status, call, *arguments, **parameters):
    """Checks that a call fails with a code and a status; its message."""
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        call(*arguments, **parameters)
    response = caught.value.response
    found = response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]
    assert found == (code, status), response
    assert response["ResponseMetadata"]["RequestId"]
    return response["Error"]["Message"]


def invalid(call, *arguments, **parameters):
    """The same with 400 `InvalidParameterValueException`, the commonest."""
    return refused("InvalidParameterValueException", 400, call, *arguments, **parameters)


def missing(call, *arguments, **parameters):
    """The same with 404 `ResourceNotFoundException`."""
    return refused("ResourceNotFoundException", 404, call, *arguments, **parameters)


def denied(call, *arguments, **parameters):
    """The same with 403 `AccessDeniedException`."""
    return refused("AccessDeniedException", 403, call, *arguments, **parameters)


def ok(response, status=200):
    """Checks the status of what boto3 answered, and that it has a request ID (1.4)."""
    metadata = response["ResponseMetadata"]
    assert metadata["HTTPStatusCode"] == status, response
    assert len(metadata["RequestId"]) == 47, response
    return response


def bare(vault, headers, spoil=lambda headers: None):
    """Begins an upload on a bare connection: signed headers, no body."""
    request = vault.endpoint.signed("POST", vault.path + "/archives", b"", headers)
    sent = {"Host": vault.endpoint.address, **request.headers}
    spoil(sent)
    connection = vault.endpoint.socket()
    lines = [f"POST {vault.path}/archives HTTP/1.1", *[f"{name}: {value}" for name, value in sent.items()]]
    connection.sendall("\r\n".join([*lines, "", ""]).encode())
    return connection


def finished(connection):
    """The response that ends what `bare` began, and its body."""
    response = http.client.HTTPResponse(connection)
    response.begin()
    return response, response.read()
