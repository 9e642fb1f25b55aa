"""aws cli, unmodified: a round trip through everything that a person at a shell would use."""

import json
import subprocess

import pytest
from harness import MIB, Vault, aws_environment, pattern, tree_hash
from operations import EVENTS, TOPIC


@pytest.fixture
def aws(endpoint):
    """Runs a command of `aws glacier`; its output as JSON, or, with a code, what it was refused with."""
    environment = aws_environment(endpoint.data)

    def run(command, *arguments, refusal=None):
        full = ["aws", "--endpoint-url", endpoint.url, "glacier", command, "--account-id", "-", *arguments]
        done = subprocess.run(full, env=environment, capture_output=True, text=True, timeout=120)
        if refusal:
            assert done.returncode != 0 and f"({refusal})" in done.stderr, (full, done)
            return done.stderr
        assert done.returncode == 0, (full, done.stderr)
        return json.loads(done.stdout or "null")

    return run


@pytest.fixture
def at(endpoint, aws):
    """A vault made by the client, and the arguments that name it."""
    name = f"cli-{next(endpoint.numbers)}"
    assert aws("create-vault", "--vault-name", name)["location"].endswith(name)
    return ("--vault-name", name)


def test_vaults(aws, at):
    """3.1 to 3.4."""
    assert aws("describe-vault", *at)["NumberOfArchives"] == 0
    assert at[1] in [vault["VaultName"] for vault in aws("list-vaults")["VaultList"]]
    aws("delete-vault", *at)
    message = aws("describe-vault", *at, refusal="ResourceNotFoundException")
    assert f"Vault not found for ARN: arn:aws:glacier:us-east-1:000000000000:vaults/{at[1]}" in message


def test_a_multipart_upload_of_100_mib(aws, at, tmp_path):
    """3.20 to 3.29: in parts, listed, completed, retrieved whole and in ranges."""
    data, part = pattern(100 * MIB), 16 * MIB
    description = 'a hundred, "quoted"'
    upload = aws("initiate-multipart-upload", *at, "--part-size", str(part), "--archive-description", description)
    of_upload = (*at, f"--upload-id={upload['uploadId']}")
    path = tmp_path / "part"
    for first in range(0, len(data), part):
        body = data[first : first + part]
        path.write_bytes(body)
        span = f"bytes {first}-{first + len(body) - 1}/*"
        sent = aws("upload-multipart-part", *of_upload, "--range", span, "--body", str(path))
        assert sent["checksum"] == tree_hash(body)
    assert len(aws("list-parts", *of_upload)["Parts"]) == 7
    [listed] = aws("list-multipart-uploads", *at)["UploadsList"]
    assert (listed["MultipartUploadId"], listed["ArchiveDescription"]) == (upload["uploadId"], description)
    whole = ("--archive-size", str(len(data)), "--checksum", tree_hash(data))
    without = aws("complete-multipart-upload", *of_upload, *whole[:2], refusal="MissingParameterValueException")
    assert "Required parameter missing: x-amz-sha256-tree-hash" in without
    archive = aws("complete-multipart-upload", *of_upload, *whole)["archiveId"]

    retrieval = {"Type": "archive-retrieval", "ArchiveId": archive, "Tier": "Expedited", "Description": "by the CLI"}
    job = aws("initiate-job", *at, "--job-parameters", json.dumps(retrieval))["jobId"]
    described = aws("describe-job", *at, f"--job-id={job}")
    assert described["Completed"] and described["SHA256TreeHash"] == tree_hash(data)
    told = aws("get-job-output", *at, f"--job-id={job}", str(path))
    assert (told["status"], told["checksum"], told["archiveDescription"]) == (200, tree_hash(data), description)
    assert path.read_bytes() == data
    aws("get-job-output", *at, f"--job-id={job}", "--range", "bytes=99999999-", str(path))
    assert path.read_bytes() == data[99_999_999:]

    retrieval["RetrievalByteRange"] = f"{64 * MIB}-{96 * MIB - 1}"
    job = aws("initiate-job", *at, "--job-parameters", json.dumps(retrieval))["jobId"]
    told = aws("get-job-output", *at, f"--job-id={job}", "--range", f"bytes=0-{MIB - 1}", str(path))
    assert (told["status"], told["contentRange"]) == (206, f"bytes 0-{MIB - 1}/{32 * MIB}")
    assert path.read_bytes() == data[64 * MIB : 65 * MIB] and told["checksum"] == tree_hash(path.read_bytes())
    assert len(aws("list-jobs", *at)["JobList"]) == 2
    other = aws("initiate-multipart-upload", *at, "--part-size", str(MIB))["uploadId"]
    aws("abort-multipart-upload", *at, f"--upload-id={other}")


def test_archives_and_inventory(aws, at, tmp_path):
    """3.18, 3.19, 3.26, 3.29."""
    path, output = tmp_path / "body", str(tmp_path / "output")
    path.write_bytes(pattern(3 * MIB + 1))
    uploaded = aws("upload-archive", *at, "--body", str(path), "--archive-description", "by the CLI")
    assert uploaded["checksum"] == tree_hash(path.read_bytes())
    job = aws("initiate-job", *at, "--job-parameters", '{"Type": "inventory-retrieval", "Format": "JSON"}')["jobId"]
    aws("get-job-output", *at, f"--job-id={job}", output)
    with open(output, encoding="utf-8") as file:
        [archive] = json.load(file)["ArchiveList"]
    assert (archive["ArchiveId"], archive["Size"]) == (uploaded["archiveId"], 3 * MIB + 1)
    retrieval = {"Type": "archive-retrieval", "ArchiveId": uploaded["archiveId"], "Tier": "Bulk"}
    job = aws("initiate-job", *at, "--job-parameters", json.dumps(retrieval))["jobId"]
    message = aws("get-job-output", *at, f"--job-id={job}", output, refusal="InvalidParameterValueException")
    assert f"The job is not currently available for download: {job}" in message
    aws("delete-archive", *at, f"--archive-id={uploaded['archiveId']}")
    aws("initiate-job", *at, "--job-parameters", json.dumps(retrieval), refusal="ResourceNotFoundException")
    aws("delete-vault", *at)


def test_tags_and_notifications(aws, at):
    """3.5 to 3.7, 3.15 to 3.17."""
    aws("add-tags-to-vault", *at, "--tags", "colour=blue,size=XL")
    aws("remove-tags-from-vault", *at, "--tag-keys", "colour")
    assert aws("list-tags-for-vault", *at)["Tags"] == {"size": "XL"}
    config = {"SNSTopic": TOPIC, "Events": EVENTS}
    aws("get-vault-notifications", *at, refusal="ResourceNotFoundException")
    aws("set-vault-notifications", *at, "--vault-notification-config", json.dumps(config))
    assert aws("get-vault-notifications", *at)["vaultNotificationConfig"] == config
    aws("delete-vault-notifications", *at)


def test_policies(aws, at, endpoint):
    """3.8 to 3.10, 3.30 to 3.32."""
    deny = {"Effect": "Deny", "Principal": "*", "Action": "glacier:DeleteVault", "Resource": Vault(endpoint, at[1]).arn}
    policy = {"Policy": json.dumps({"Version": "2012-10-17", "Statement": [deny]})}
    aws("get-vault-access-policy", *at, refusal="ResourceNotFoundException")
    aws("set-vault-access-policy", *at, "--policy", json.dumps(policy))
    assert aws("get-vault-access-policy", *at)["policy"] == policy
    aws("delete-vault", *at, refusal="AccessDeniedException")
    aws("delete-vault-access-policy", *at)
    aws("set-data-retrieval-policy", "--policy", '{"Rules": [{"Strategy": "None"}]}')
    assert aws("get-data-retrieval-policy")["Policy"]["Rules"][0]["Strategy"] == "None"
    assert aws("list-provisioned-capacity") == {"ProvisionedCapacityList": []}


def test_a_lock(aws, at, endpoint, tmp_path):
    """3.11 to 3.14, 5.5."""
    path = tmp_path / "body"
    path.write_bytes(b"keep")
    archive = aws("upload-archive", *at, "--body", str(path))["archiveId"]
    young = {"NumericLessThan": {"glacier:ArchiveAgeInDays": "365"}}
    deny = {"Effect": "Deny", "Principal": "*", "Action": "glacier:DeleteArchive", "Condition": young}
    statement = deny | {"Resource": Vault(endpoint, at[1]).arn}
    policy = {"Policy": json.dumps({"Version": "2012-10-17", "Statement": [statement]})}
    aws("initiate-vault-lock", *at, "--policy", json.dumps(policy))
    aws("abort-vault-lock", *at)
    lock = aws("initiate-vault-lock", *at, "--policy", json.dumps(policy))["lockId"]
    aws("complete-vault-lock", *at, f"--lock-id={lock}")
    assert aws("get-vault-lock", *at)["State"] == "Locked"
    aws("abort-vault-lock", *at, refusal="AccessDeniedException")
    aws("delete-archive", *at, f"--archive-id={archive}", refusal="AccessDeniedException")
