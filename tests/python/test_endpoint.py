"""Unmodified AWS clients, boto3 and the AWS CLI, against `glacierfs serve`.

The Rust tests check each rule on a clock of their own; these check that clients which were written for the real service
find what they expect. GLACIERFS_BIN names the program to test.
"""

import concurrent.futures
import csv
import io
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
import unittest

import boto3
import botocore.config
import botocore.exceptions
import botocore.utils

BINARY = os.environ.get("GLACIERFS_BIN", "target/debug/glacierfs")
REGION = "us-east-1"
ACCOUNT = "000000000000"
OTHER = "222222222222"
MIB = 1 << 20


def pattern(size):
    """Bytes that differ from place to place."""
    return (bytes(range(251)) * (size // 251 + 1))[:size]


def tree_hash(data):
    return botocore.utils.calculate_tree_hash(io.BytesIO(data))


class Serve:
    """A running `glacierfs serve`."""

    def __init__(self, data, *options):
        command = [BINARY, "serve", "--data", data, "--listen", "127.0.0.1:0", *options]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.url = self.process.stdout.readline().strip()
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+", self.url), f"no URL but {self.url!r}"

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(timeout=20)
        self.process.stdout.close()
        assert status == 0, f"glacierfs serve ended with {status}"


class EndpointTest(unittest.TestCase):
    """One server for all tests; each has a vault of its own."""

    @classmethod
    def setUpClass(cls):
        cls.data = tempfile.mkdtemp(prefix="glacierfs-test-")
        cls.addClassCleanup(shutil.rmtree, cls.data)
        cls.server = Serve(
            cls.data,
            *("--retrieval-delay", "all=0s"),
            *("--retrieval-delay", "standard=1s"),
            *("--retrieval-delay", "Bulk=1h"),
            *("--inventory-interval", "1s"),
            *("--account", ACCOUNT),
            *("--account", OTHER),
        )
        cls.addClassCleanup(cls.server.stop)
        cls.environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith("AWS_")},
            "AWS_SHARED_CREDENTIALS_FILE": os.path.join(cls.data, "credentials"),
            "AWS_CONFIG_FILE": "/dev/null",
            "AWS_PAGER": "",
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        os.environ.update(cls.environment)
        cls.session = boto3.Session(profile_name="glacierfs")
        cls.client = cls.make_client()

    @classmethod
    def make_client(cls, region=REGION, profile="glacierfs", **settings):
        """A boto3 client that tries once, so that no retry hides a refusal."""
        settings.setdefault("retries", {"total_max_attempts": 1})
        config = botocore.config.Config(max_pool_connections=16, **settings)
        session = boto3.Session(profile_name=profile)
        return session.client("glacier", region_name=region, endpoint_url=cls.server.url, config=config)

    def setUp(self):
        self.vault = self.id().rsplit(".", 1)[1]
        self.client.create_vault(vaultName=self.vault)

    def refused(self, code, status, call, **parameters):
        """Checks that a call fails with a code and status; its message."""
        with self.assertRaises(botocore.exceptions.ClientError) as caught:
            call(**parameters)
        response = caught.exception.response
        self.assertEqual((response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]), (code, status))
        self.assertTrue(response["ResponseMetadata"]["RequestId"])
        return response["Error"]["Message"]

    def wait(self, job, vault=None):
        """Waits for a job; its description."""
        for _ in range(100):
            described = self.client.describe_job(vaultName=vault or self.vault, jobId=job)
            if described["Completed"]:
                self.assertEqual(described["StatusCode"], "Succeeded")
                return described
            time.sleep(0.1)
        self.fail(f"job {job} doesn't complete")

    def start(self, **parameters):
        """Initiates a job; its ID."""
        return self.client.initiate_job(vaultName=self.vault, jobParameters=parameters)["jobId"]

    def wait_for_inventory(self, archives):
        for _ in range(100):
            if self.client.describe_vault(vaultName=self.vault)["NumberOfArchives"] == archives:
                return
            time.sleep(0.1)
        self.fail(f"no inventory lists {archives} archives")

    def aws(self, *arguments, status=0):
        """Runs the AWS CLI; its output as JSON, or what it complained of."""
        command = ["aws", "--profile", "glacierfs", "--region", REGION, "--endpoint-url", self.server.url, "glacier"]
        done = subprocess.run([*command, *arguments], env=self.environment, capture_output=True, text=True)
        self.assertEqual(done.returncode, status, done.stderr)
        return done.stderr if status else json.loads(done.stdout or "null")

    def test_vaults(self):
        created = self.client.create_vault(vaultName=self.vault)
        self.assertEqual(created["location"], f"/{ACCOUNT}/vaults/{self.vault}")
        described = self.client.describe_vault(accountId=ACCOUNT, vaultName=self.vault)
        self.assertEqual(described["VaultARN"], f"arn:aws:glacier:{REGION}:{ACCOUNT}:vaults/{self.vault}")
        self.assertEqual((described["NumberOfArchives"], described["SizeInBytes"]), (0, 0))
        self.assertNotIn("LastInventoryDate", described)
        names = [f"{self.vault}-{i:02}" for i in range(25)]
        for name in names:
            self.client.create_vault(vaultName=name)
        pages = list(self.client.get_paginator("list_vaults").paginate())
        listed = [vault["VaultName"] for page in pages for vault in page["VaultList"]]
        self.assertEqual([name for name in listed if name in names], names)
        self.assertTrue(all(len(page["VaultList"]) <= 10 for page in pages))
        for name in names:
            self.client.delete_vault(vaultName=name)
        self.client.get_waiter("vault_not_exists").wait(vaultName=names[0], WaiterConfig={"MaxAttempts": 1})
        self.client.get_waiter("vault_exists").wait(vaultName=self.vault, WaiterConfig={"MaxAttempts": 1})
        self.refused("ResourceNotFoundException", 404, self.client.describe_vault, vaultName=names[0])
        self.refused("InvalidParameterValueException", 400, self.client.create_vault, vaultName="a b")
        self.refused("InvalidParameterValueException", 400, self.client.list_vaults, marker="x")

    def test_archives(self):
        for size in (1, 4096, 65536, 65537, 3 * MIB + 5):
            data = pattern(size)
            uploaded = self.client.upload_archive(
                vaultName=self.vault, body=data, archiveDescription=f'  {size}  "bytes"'
            )
            self.assertEqual(uploaded["checksum"], tree_hash(data))
            job = self.start(Type="archive-retrieval", ArchiveId=uploaded["archiveId"], Tier="Expedited")
            output = self.client.get_job_output(vaultName=self.vault, jobId=job)
            self.assertEqual(output["body"].read(), data)
            self.assertEqual(output["checksum"], tree_hash(data))
            self.assertIn(f'{size}  "bytes"', output["archiveDescription"])
        for _ in range(2):
            self.client.delete_archive(vaultName=self.vault, archiveId=uploaded["archiveId"])
        invalid = "InvalidParameterValueException"
        message = self.refused(
            invalid, 400, self.client.upload_archive, vaultName=self.vault, body=b"x", checksum="0" * 64
        )
        self.assertIn("Checksum mismatch: expected 000", message)
        self.assertIn(
            "Vault not empty or recently written to",
            self.refused(invalid, 400, self.client.delete_vault, vaultName=self.vault),
        )
        self.refused("ResourceNotFoundException", 404, self.client.upload_archive, vaultName="no", body=b"x")

    def test_multipart(self):
        data = pattern(7 * MIB + 17)
        upload = self.client.initiate_multipart_upload(
            vaultName=self.vault, partSize=str(MIB), archiveDescription="in parts"
        )["uploadId"]
        name = {"vaultName": self.vault, "uploadId": upload}

        def put(first):
            part = data[first : first + MIB]
            put = self.client.upload_multipart_part(
                **name, range=f"bytes {first}-{first + len(part) - 1}/*", body=part
            )
            self.assertEqual(put["checksum"], tree_hash(part))

        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            list(pool.map(put, reversed(range(0, len(data), MIB))))
        put(0)
        pages = self.client.get_paginator("list_parts").paginate(**name, PaginationConfig={"PageSize": 3})
        parts = [part for page in pages for part in page["Parts"]]
        self.assertEqual([int(part["RangeInBytes"].split("-")[0]) for part in parts], list(range(0, len(data), MIB)))
        uploads = self.client.list_multipart_uploads(vaultName=self.vault)["UploadsList"]
        self.assertEqual([u["MultipartUploadId"] for u in uploads], [upload])
        self.assertEqual((uploads[0]["PartSizeInBytes"], uploads[0]["ArchiveDescription"]), (MIB, "in parts"))

        complete = self.client.complete_multipart_upload
        invalid = "InvalidParameterValueException"
        self.refused(invalid, 400, complete, **name, archiveSize=str(len(data)), checksum="0" * 64)
        self.refused("MissingParameterValueException", 400, complete, **name, archiveSize=str(len(data)))
        whole = {"archiveSize": str(len(data)), "checksum": tree_hash(data)}
        done = complete(**name, **whole)
        self.assertEqual(complete(**name, **whole)["archiveId"], done["archiveId"])
        self.refused("ResourceNotFoundException", 404, self.client.list_parts, **name)

        job = self.start(Type="archive-retrieval", ArchiveId=done["archiveId"], Tier="Expedited")
        self.assertEqual(self.client.get_job_output(vaultName=self.vault, jobId=job)["body"].read(), data)

        other = self.client.initiate_multipart_upload(vaultName=self.vault, partSize=str(2 * MIB))["uploadId"]
        for _ in range(2):
            self.client.abort_multipart_upload(vaultName=self.vault, uploadId=other)
        self.assertEqual(self.client.list_multipart_uploads(vaultName=self.vault)["UploadsList"], [])
        self.refused(invalid, 400, self.client.initiate_multipart_upload, vaultName=self.vault, partSize="3145728")

    def test_ranges(self):
        data = pattern(6815744)
        archive = self.client.upload_archive(vaultName=self.vault, body=data)["archiveId"]
        job = self.start(
            Type="archive-retrieval", ArchiveId=archive, Tier="Expedited", RetrievalByteRange="2097152-4194303"
        )
        described = self.client.describe_job(vaultName=self.vault, jobId=job)
        wanted = data[2097152:4194304]
        self.assertEqual(described["SHA256TreeHash"], tree_hash(wanted))
        self.assertEqual(described["ArchiveSHA256TreeHash"], tree_hash(data))

        def read(span):
            output = self.client.get_job_output(vaultName=self.vault, jobId=job, range=span)
            return output["status"], output.get("contentRange"), output.get("checksum"), output["body"].read()

        first = wanted[:MIB]
        self.assertEqual(read("bytes=0-1048575"), (206, "bytes 0-1048575/2097152", tree_hash(first), first))
        self.assertEqual(read("bytes=5-9"), (206, "bytes 5-9/2097152", None, wanted[5:10]))
        self.assertEqual(read("bytes 0-1/2"), (200, None, tree_hash(wanted), wanted))
        invalid = "InvalidParameterValueException"
        name = {"vaultName": self.vault, "jobId": job}
        self.assertIn(
            "The start of the range is larger than size of retrieved data: bytes=2097152-",
            self.refused(invalid, 400, self.client.get_job_output, **name, range="bytes=2097152-"),
        )
        parameters = {"Type": "archive-retrieval", "ArchiveId": archive, "RetrievalByteRange": "1-1048576"}
        self.refused(invalid, 400, self.client.initiate_job, vaultName=self.vault, jobParameters=parameters)

    def test_jobs(self):
        archive = self.client.upload_archive(vaultName=self.vault, body=b"data")["archiveId"]
        retrieval = {"Type": "archive-retrieval", "ArchiveId": archive}
        standard = self.start(**retrieval, Description="slow", SNSTopic="arn:aws:sns:us-east-1:1:t")
        bulk = [self.start(**retrieval, Tier="Bulk") for _ in range(60)]
        name = {"vaultName": self.vault, "jobId": standard}
        self.assertIn(
            f"The job is not currently available for download: {bulk[0]}",
            self.refused(
                "InvalidParameterValueException",
                400,
                self.client.get_job_output,
                vaultName=self.vault,
                jobId=bulk[0],
            ),
        )
        described = self.wait(standard)
        self.assertEqual((described["JobDescription"], described["Tier"]), ("slow", "Standard"))
        self.assertEqual(described["SNSTopic"], "arn:aws:sns:us-east-1:1:t")
        self.assertEqual(self.client.get_job_output(**name)["body"].read(), b"data")

        def listed(**filters):
            pages = self.client.get_paginator("list_jobs").paginate(vaultName=self.vault, **filters)
            return [job["JobId"] for page in pages for job in page["JobList"]]

        self.assertEqual(listed(), [standard, *bulk])
        self.assertEqual(listed(PaginationConfig={"PageSize": 7}), [standard, *bulk])
        self.assertEqual(listed(completed="true"), [standard])
        self.assertEqual(listed(statuscode="InProgress"), bulk)
        self.assertEqual(listed(statuscode="Failed"), [])
        self.refused("InvalidParameterValueException", 400, listed, statuscode="Done")
        missing = {"vaultName": self.vault, "jobId": "x"}
        self.refused("ResourceNotFoundException", 404, self.client.describe_job, **missing)
        initiate = self.client.initiate_job
        message = self.refused("MissingParameterValueException", 400, initiate, vaultName=self.vault)
        self.assertEqual(message, "Required parameter missing: type")

    def test_inventory(self):
        initiate = {"vaultName": self.vault, "jobParameters": {"Type": "inventory-retrieval"}}
        self.refused("ResourceNotFoundException", 404, self.client.initiate_job, **initiate)
        ids = {}
        for i in range(7):
            description = f'file {i}, with "quotes"'
            ids[self.client.upload_archive(
                vaultName=self.vault, body=pattern(i + 1), archiveDescription=description
            )["archiveId"]] = description
        self.wait_for_inventory(7)
        self.assertEqual(self.client.describe_vault(vaultName=self.vault)["SizeInBytes"], 28 + 7 * 32768)

        job = self.start(Type="inventory-retrieval")
        described = self.wait(job)
        output = self.client.get_job_output(vaultName=self.vault, jobId=job)
        self.assertEqual(output["contentType"], "application/json")
        document = output["body"].read()
        self.assertEqual(described["InventorySizeInBytes"], len(document))
        inventory = json.loads(document)
        self.assertEqual({a["ArchiveId"]: a["ArchiveDescription"] for a in inventory["ArchiveList"]}, ids)
        for i, archive in enumerate(inventory["ArchiveList"]):
            self.assertEqual((archive["Size"], archive["SHA256TreeHash"]), (i + 1, tree_hash(pattern(i + 1))))
            self.assertRegex(archive["CreationDate"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")

        job = self.start(Type="inventory-retrieval", Format="CSV")
        self.wait(job)
        output = self.client.get_job_output(vaultName=self.vault, jobId=job)
        self.assertEqual(output["contentType"], "text/csv")
        rows = csv.DictReader(io.StringIO(output["body"].read().decode()), doublequote=False, escapechar="\\")
        self.assertEqual({row["ArchiveId"]: row["ArchiveDescription"] for row in rows}, ids)

        walked, marker = [], None
        while True:
            wanted = {"Limit": "3", **({"Marker": marker} if marker else {})}
            job = self.start(Type="inventory-retrieval", InventoryRetrievalParameters=wanted)
            parameters = self.wait(job)["InventoryRetrievalParameters"]
            body = self.client.get_job_output(vaultName=self.vault, jobId=job)["body"].read()
            walked += [archive["ArchiveId"] for archive in json.loads(body)["ArchiveList"]]
            marker = parameters.get("Marker")
            if not marker:
                break
        self.assertEqual(walked, list(ids))

        for archive in ids:
            self.client.delete_archive(vaultName=self.vault, archiveId=archive)
        self.wait_for_inventory(0)
        self.client.delete_vault(vaultName=self.vault)

    def test_credentials(self):
        wrong_key = boto3.client(
            "glacier",
            REGION,
            endpoint_url=self.server.url,
            aws_access_key_id="AKIAIOSFODNN7EXAMPLE",
            aws_secret_access_key="secret",
        )
        self.refused("UnrecognizedClientException", 400, wrong_key.list_vaults)
        key = self.session.get_credentials().access_key
        wrong_secret = boto3.client(
            "glacier", REGION, endpoint_url=self.server.url, aws_access_key_id=key, aws_secret_access_key="secret"
        )
        self.refused("InvalidSignatureException", 403, wrong_secret.list_vaults)
        self.refused("InvalidSignatureException", 403, self.make_client(region="eu-west-1").list_vaults)
        message = self.refused("AccessDeniedException", 403, self.client.list_vaults, accountId="123456789012")
        self.assertEqual(message, "Access denied for account ID: 123456789012")

    def test_settings(self):
        vault = {"vaultName": self.vault}
        resource = f"arn:aws:glacier:{REGION}:{ACCOUNT}:vaults/{self.vault}"
        self.client.add_tags_to_vault(**vault, Tags={"a": "1", "b": ""})
        self.client.remove_tags_from_vault(**vault, TagKeys=["a", "never"])
        self.assertEqual(self.client.list_tags_for_vault(**vault)["Tags"], {"b": ""})

        events = {"SNSTopic": f"arn:aws:sns:{REGION}:{ACCOUNT}:t", "Events": ["InventoryRetrievalCompleted"]}
        self.refused("ResourceNotFoundException", 404, self.client.get_vault_notifications, **vault)
        self.client.set_vault_notifications(**vault, vaultNotificationConfig=events)
        self.assertEqual(self.client.get_vault_notifications(**vault)["vaultNotificationConfig"], events)
        self.client.delete_vault_notifications(**vault)

        statement = {"Effect": "Allow", "Principal": {"AWS": OTHER}, "Action": "glacier:List*", "Resource": resource}
        policy = {"Policy": json.dumps({"Version": "2012-10-17", "Statement": [statement]}, indent=1)}
        theirs = self.make_client(profile=f"glacierfs-{OTHER}")
        across = {"accountId": ACCOUNT, **vault}
        self.refused("AccessDeniedException", 403, theirs.list_jobs, **across)
        self.refused("ResourceNotFoundException", 404, self.client.get_vault_access_policy, **vault)
        self.client.set_vault_access_policy(**vault, policy=policy)
        self.assertEqual(self.client.get_vault_access_policy(**vault)["policy"], policy)
        self.assertEqual(theirs.list_jobs(**across)["JobList"], [])
        message = self.refused("AccessDeniedException", 403, theirs.describe_vault, **across)
        user = f"arn:aws:iam::{OTHER}:root"
        expected = f"User: {user} is not authorized to perform: glacier:DescribeVault on resource: {resource}"
        self.assertEqual(message, expected)
        self.client.delete_vault_access_policy(**vault)
        self.assertEqual(theirs.list_vaults()["VaultList"], [])

        archive = self.client.upload_archive(**vault, body=b"data")["archiveId"]
        condition = {"NumericLessThan": {"glacier:ArchiveAgeInDays": "365"}}
        action = "glacier:DeleteArchive"
        statement = {**statement, "Effect": "Deny", "Principal": "*", "Action": action, "Condition": condition}
        policy = {"Policy": json.dumps({"Version": "2012-10-17", "Statement": [statement]})}
        self.client.initiate_vault_lock(**vault, policy=policy)
        self.assertEqual(self.client.get_vault_lock(**vault)["State"], "InProgress")
        self.client.abort_vault_lock(**vault)
        lock = self.client.initiate_vault_lock(**vault, policy=policy)["lockId"]
        self.client.complete_vault_lock(**vault, lockId=lock)
        got = self.client.get_vault_lock(**vault)
        self.assertEqual((got["State"], got["Policy"], got.get("ExpirationDate")), ("Locked", policy["Policy"], None))
        self.refused("AccessDeniedException", 403, self.client.delete_archive, **vault, archiveId=archive)

    def test_retrieval_limits(self):
        archive = self.client.upload_archive(vaultName=self.vault, body=pattern(MIB))["archiveId"]
        theirs = self.make_client(profile=f"glacierfs-{OTHER}")
        limit = {"Rules": [{"Strategy": "BytesPerHour", "BytesPerHour": 1}]}
        self.client.set_data_retrieval_policy(Policy=limit)
        self.addCleanup(self.client.set_data_retrieval_policy, Policy={"Rules": [{"Strategy": "None"}]})
        self.assertEqual(self.client.get_data_retrieval_policy()["Policy"], limit)
        self.assertEqual(theirs.get_data_retrieval_policy()["Policy"], {"Rules": [{"Strategy": "None"}]})
        parameters = {"Type": "archive-retrieval", "ArchiveId": archive}
        ask = {"vaultName": self.vault, "jobParameters": parameters}
        message = self.refused("PolicyEnforcedException", 400, self.client.initiate_job, **ask)
        self.assertEqual(message, "InitiateJob request denied by current data retrieval policy.")
        self.client.initiate_job(vaultName=self.vault, jobParameters={**parameters, "Tier": "Bulk"})

        bought = [theirs.purchase_provisioned_capacity()["capacityId"] for _ in range(2)]
        self.refused("LimitExceededException", 400, theirs.purchase_provisioned_capacity)
        listed = theirs.list_provisioned_capacity()["ProvisionedCapacityList"]
        self.assertEqual([unit["CapacityId"] for unit in listed], bought)

    def test_aws_cli(self):
        vault = ("--account-id", "-", "--vault-name", self.vault)
        vaults = self.aws("list-vaults", "--account-id", "-")["VaultList"]
        self.assertIn(self.vault, [v["VaultName"] for v in vaults])
        self.assertEqual(self.aws("describe-vault", *vault)["VaultName"], self.vault)
        with tempfile.TemporaryDirectory() as directory:
            path, back = os.path.join(directory, "file"), os.path.join(directory, "back")
            data = pattern(5 * MIB + 1)
            with open(path, "wb") as file:
                file.write(data)
            description = "by the CLI"
            uploaded = self.aws("upload-archive", *vault, "--body", path, "--archive-description", description)
            self.assertEqual(uploaded["checksum"], tree_hash(data))
            archive = uploaded["archiveId"]
            parameters = {"Type": "archive-retrieval", "ArchiveId": archive, "Tier": "Expedited"}
            job = self.aws("initiate-job", *vault, "--job-parameters", json.dumps(parameters))["jobId"]
            self.assertTrue(self.aws("describe-job", *vault, f"--job-id={job}")["Completed"])
            self.assertEqual([j["JobId"] for j in self.aws("list-jobs", *vault)["JobList"]], [job])
            output = self.aws("get-job-output", *vault, f"--job-id={job}", back)
            self.assertEqual((output["status"], output["checksum"]), (200, tree_hash(data)))
            with open(back, "rb") as file:
                self.assertEqual(file.read(), data)

            upload = self.aws("initiate-multipart-upload", *vault, "--part-size", str(4 * MIB))["uploadId"]
            for first in (0, 4 * MIB):
                part = data[first : first + 4 * MIB]
                with open(path, "wb") as file:
                    file.write(part)
                span = f"bytes {first}-{first + len(part) - 1}/*"
                self.aws("upload-multipart-part", *vault, f"--upload-id={upload}", "--range", span, "--body", path)
            self.assertEqual(len(self.aws("list-parts", *vault, f"--upload-id={upload}")["Parts"]), 2)
            self.assertEqual(len(self.aws("list-multipart-uploads", *vault)["UploadsList"]), 1)
            whole = ("--archive-size", str(len(data)), "--checksum", tree_hash(data))
            done = self.aws("complete-multipart-upload", *vault, f"--upload-id={upload}", *whole)
            parameters["ArchiveId"] = done["archiveId"]
            job = self.aws("initiate-job", *vault, "--job-parameters", json.dumps(parameters))["jobId"]
            self.aws("get-job-output", *vault, f"--job-id={job}", "--range", "bytes=0-1048575", back)
            with open(back, "rb") as file:
                self.assertEqual(file.read(), data[:MIB])
            self.aws("delete-archive", *vault, f"--archive-id={archive}")
            missing = self.aws("describe-job", *vault, "--job-id", "x", status=254 if cli_version() > 1 else 255)
            self.assertIn("ResourceNotFoundException", missing)

    def test_second_server_is_refused(self):
        command = [BINARY, "serve", "--data", self.data, "--listen", "127.0.0.1:0"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=20)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("is in use by another glacierfs", done.stderr)
        mode = os.stat(os.path.join(self.data, "credentials")).st_mode
        self.assertEqual(mode & 0o777, 0o600)


def cli_version():
    """The major version of the AWS CLI, which has its own exit codes."""
    text = subprocess.run(["aws", "--version"], capture_output=True, text=True, check=True).stdout
    return int(re.match(r"aws-cli/(\d+)", text)[1])


if __name__ == "__main__":
    unittest.main(verbosity=2)
