"""Unmodified outside clients and the mount see the same vault.

Runs `glacierfs serve` and a mount on it; needs /dev/fuse, aws cli and boto3. The program is $GLACIERFS.
"""

import hashlib
import json
import os
import pathlib
import random
import subprocess
import time

import boto3
import botocore.utils
import pytest

PROGRAM = os.environ.get("GLACIERFS", str(pathlib.Path(__file__).parents[2] / "target/debug/glacierfs"))
REGION = "us-east-1"
PATIENCE = 60  # seconds for anything


def run(*arguments, env):
    """Runs a command that has to end well; its output."""
    done = subprocess.run(arguments, env=env, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 0, f"{arguments}: {done.stdout}{done.stderr}"
    return done.stdout


class Place:
    """An endpoint in a process of its own, a mount on it, and clients with its credentials."""

    def __init__(self, directory):
        self.mnt = directory / "mnt"
        self.mnt.mkdir()
        data = directory / "vaults"
        self.serve = subprocess.Popen(
            [PROGRAM, "serve", "--data", data, "--listen", "127.0.0.1:0", "--retrieval-delay", "all=1s"]
            + ["--inventory-interval", "0s", "--log", "warn"],
            stdout=subprocess.PIPE,
            text=True,
        )
        self.url = self.serve.stdout.readline().strip()
        # Nothing of the person's own AWS configuration or settings is used.
        self.env = {key: value for key, value in os.environ.items() if not key.startswith(("AWS_", "GLACIERFS"))}
        self.env |= {
            "AWS_CONFIG_FILE": str(directory / "none"),
            "AWS_SHARED_CREDENTIALS_FILE": str(data / "credentials"),
            "AWS_PROFILE": "glacierfs",
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        self.glacierfs(
            *[
                "mount",
                "--endpoint",
                self.url,
                "--region",
                REGION,
                "--state",
                directory / "state",
                "--upload-delay",
                "0",
            ],
            *["--daemon", self.mnt],
        )
        session = boto3.Session(**self.keys(data / "credentials"), region_name=REGION)
        self.glacier = session.client("glacier", endpoint_url=self.url)

    @staticmethod
    def keys(path):
        pairs = dict(line.split("=", 1) for line in path.read_text().splitlines() if "=" in line)
        pairs = {key.strip(): value.strip() for key, value in pairs.items()}
        return {name: pairs[name] for name in ("aws_access_key_id", "aws_secret_access_key")}

    def glacierfs(self, *arguments):
        return run(PROGRAM, *map(str, arguments), env=self.env)

    def aws(self, *arguments):
        command = ["aws", "--region", REGION, "--endpoint-url", self.url, "--output", "json", "glacier", *arguments]
        return run(*command, "--account-id", "-", env=self.env)

    def job(self, vault, parameters):
        """Starts a job with aws cli and waits until it is done; its ID."""
        started = json.loads(
            self.aws("initiate-job", "--vault-name", vault, "--job-parameters", json.dumps(parameters))
        )
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            job = json.loads(self.aws("describe-job", f"--vault-name={vault}", f"--job-id={started['jobId']}"))
            if job["Completed"]:
                assert job["StatusCode"] == "Succeeded", job
                return started["jobId"]
            time.sleep(0.2)
        raise AssertionError(f"the job {started} isn't done after {PATIENCE} s")

    def close(self):
        subprocess.run([PROGRAM, "umount", "--drain", "0", self.mnt], env=self.env, timeout=PATIENCE)
        self.serve.terminate()
        assert self.serve.wait(PATIENCE) == 0


@pytest.fixture
def place(tmp_path):
    place = Place(tmp_path)
    yield place
    place.close()


def test_aws_cli_downloads_what_the_mount_wrote(place, tmp_path):
    """Promise: an archive of the mount is the file's plain bytes, and its description names the file."""
    (place.mnt / "photos/2024").mkdir(parents=True)
    content = random.Random(1).randbytes(5_000_001)
    (place.mnt / "photos/2024/a b.jpg").write_bytes(content)
    place.glacierfs("flush", place.mnt)
    [entry] = json.loads(place.glacierfs("ls", "--json", place.mnt / "photos/2024/a b.jpg"))
    parameters = {"Type": "archive-retrieval", "ArchiveId": entry["archive_id"]}
    job = place.job("photos", parameters)
    output = tmp_path / "downloaded"
    told = json.loads(place.aws("get-job-output", "--vault-name=photos", f"--job-id={job}", str(output)))
    assert output.read_bytes() == content
    with open(output, "rb") as downloaded:
        assert told["checksum"] == botocore.utils.calculate_tree_hash(downloaded) == entry["tree_hash"]
    assert "photos" not in told["archiveDescription"].split("p=")[0]
    assert told["archiveDescription"].endswith("p=2024/a%20b.jpg"), told


def test_what_aws_cli_uploads_becomes_a_file(place, tmp_path):
    """Promise: an archive that aws cli put into the vault is a file under its description after an inventory."""
    place.aws("create-vault", "--vault-name", "docs")
    body = tmp_path / "body"
    body.write_bytes(b"from outside\n" * 1000)
    place.aws("upload-archive", "--vault-name=docs", "--archive-description=letters/hello.txt", "--body", str(body))
    told = place.glacierfs("inventory", "docs", "--timeout", "30s", "--mount", place.mnt)
    assert "1 new" in told, told
    file = place.mnt / "docs/letters/hello.txt"
    assert file.stat().st_size == body.stat().st_size
    assert file.read_bytes() == body.read_bytes()


def test_boto3_sees_the_mounts_vaults_and_archives(place):
    """Promise: vaults made by mkdir are vaults, their archives are in the inventory, and rmdir deletes them."""
    for name in ("one", "two.three"):
        (place.mnt / name).mkdir()
    names = [vault["VaultName"] for vault in place.glacier.list_vaults()["VaultList"]]
    assert names == ["one", "two.three"]
    (place.mnt / "one/file").write_bytes(b"x" * 100)
    place.glacierfs("flush", place.mnt)
    job = place.job("one", {"Type": "inventory-retrieval", "Format": "JSON"})
    inventory = json.loads(place.glacier.get_job_output(vaultName="one", jobId=job)["body"].read())
    [archive] = inventory["ArchiveList"]
    assert archive["Size"] == 100
    assert archive["SHA256TreeHash"] == hashlib.sha256(b"x" * 100).hexdigest()
    (place.mnt / "two.three").rmdir()
    assert [vault["VaultName"] for vault in place.glacier.list_vaults()["VaultList"]] == ["one"]
