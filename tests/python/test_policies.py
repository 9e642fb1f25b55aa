"""Vault access policies (3.8 to 3.10) and what they do across accounts (5.5)."""

import configparser
import json
import subprocess

import boto3
import botocore.config
import botocore.exceptions
import pytest
from harness import ACCOUNT, OTHER, PROGRAM, REGION, denied, invalid, missing, ok


def statement(vault, effect="Allow", principal=OTHER, action="glacier:*", **more):
    principal = {"AWS": f"arn:aws:iam::{principal}:root"} if principal.isdigit() else principal
    return {"Effect": effect, "Principal": principal, "Action": action, "Resource": vault.arn} | more


def policy(*statements):
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def put(vault, text):
    return vault.set_vault_access_policy(policy={"Policy": text})


def test_setting_and_getting(vault):
    """1.13, 3.8 to 3.10: the very string that was set; replaced, deleted, deleted again."""
    words = f"No vault access policy is set for: {vault.name}"
    assert missing(vault.get_vault_access_policy) == words
    ok(vault.delete_vault_access_policy(), 204)
    text = "{ \n" + policy(statement(vault, Sid="größe", action=["glacier:DescribeVault"]))[1:].replace(", ", " ,\t")
    ok(put(vault, text), 204)
    answer = vault.raw("GET", "/access-policy")
    assert (answer.status, answer.json()) == (200, {"Policy": text})
    allow_owner = policy(statement(vault, principal=ACCOUNT))
    ok(put(vault, allow_owner), 204)
    assert vault.get_vault_access_policy()["policy"] == {"Policy": allow_owner}
    for _ in range(2):
        ok(vault.delete_vault_access_policy(), 204)
    assert missing(vault.get_vault_access_policy) == words


@pytest.mark.parametrize(
    "text",
    [
        "x",
        "{}",
        "[]",
        '{"Version":"2012-10-17"}',
        '{"Version":"2012-10-17","Statement":[]}',
        '{"Version":"2099-01-01","Statement":[{"Effect":"Allow","Principal":"*","Action":"glacier:*","Resource":"*"}]}',
        '{"Statement":[{"Principal":"*","Action":"glacier:*","Resource":"*"}]}',
        '{"Statement":[{"Effect":"Permit","Principal":"*","Action":"glacier:*","Resource":"*"}]}',
        '{"Statement":[{"Effect":"Allow","Action":"glacier:*","Resource":"*"}]}',
        '{"Statement":[{"Effect":"Allow","Principal":"*","Resource":"*"}]}',
        '{"Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"*"}]}',
        '{"Statement":[{"Effect":"Allow","Principal":"*","Action":"glacier:*","Resource":"*","Condition":{"DateSometime":{"a":"b"}}}]}',
        '{"Statement":[{"Effect":"Allow","Principal":"*","Action":"glacier:*","Resource":"*","Condition":{"NumericLessThan":{"glacier:ArchiveAgeInDays":"x"}}}]}',
        '{"Statement":[{"Effect":"Allow","Principal":"*","Action":"glacier:*","Resource":"*","Surprise":1}]}',
    ],
    ids=lambda text: text[:60],
)
def test_bad_policies(vault, text):
    """3.8: what isn't a policy is refused, never ignored."""
    invalid(put, vault, text)
    missing(vault.get_vault_access_policy)


def test_the_size_of_a_policy(vault):
    """1.9: 20 KB."""
    text = policy(statement(vault))
    fill = lambda size: text[:-1] + " " * (size - len(text)) + "}"
    ok(put(vault, fill(20 * 1024)), 204)
    invalid(put, vault, fill(20 * 1024 + 1))


def test_no_policy(vault):
    """3.8: the member is required; an empty one is none, or no valid one."""
    for body in ({}, {"Policy": None}, {"Policy": ""}):
        code, status, _ = vault.raw("PUT", "/access-policy", body).error()
        assert status == 400
        assert (
            code == "MissingParameterValueException"
            or code == "InvalidParameterValueException"
            and body.get("Policy") == ""
        )


@pytest.fixture
def two(serve):
    """An account's vault as the account sees it, and as another does."""
    endpoint = serve(
        "--account", ACCOUNT, "--account", OTHER, "--retrieval-delay", "all=0s", "--inventory-interval", "0s"
    )
    mine = endpoint.vault("shared")
    return mine, Foreign(endpoint, "shared", endpoint.client(f"glacierfs-{OTHER}"))


class Foreign:
    """A vault of the first account as the second one uses it: by the owner's account ID."""

    def __init__(self, endpoint, name, client):
        self.endpoint, self.name, self.client = endpoint, name, client

    def __getattr__(self, operation):
        call = getattr(self.client, operation)
        return lambda **parameters: call(accountId=ACCOUNT, vaultName=self.name, **parameters)


def test_another_account_needs_to_be_allowed(two):
    """1.2, 5.5: nothing without a policy; what it allows with one; nothing after it is deleted."""
    mine, theirs = two
    archive = mine.upload(b"data")
    denied(theirs.describe_vault)
    put(mine, policy(statement(mine, action=["glacier:DescribeVault", "glacier:UploadArchive"])))
    assert theirs.describe_vault()["VaultARN"] == mine.arn
    uploaded = theirs.upload_archive(body=b"theirs")
    assert uploaded["location"].startswith(f"/{ACCOUNT}/vaults/shared/archives/")
    assert mine.fetch(uploaded["archiveId"]) == b"theirs"
    for refusal in (
        lambda: theirs.delete_archive(archiveId=archive),
        lambda: theirs.initiate_job(jobParameters={"Type": "archive-retrieval", "ArchiveId": archive}),
        theirs.list_jobs,
        theirs.delete_vault,
        lambda: theirs.set_vault_access_policy(policy={"Policy": policy(statement(mine))}),
    ):
        assert "glacier:" in denied(refusal)
    mine.delete_vault_access_policy()
    denied(theirs.describe_vault)


def test_another_account_learns_nothing(two):
    """1.12: whether a vault is there isn't told to who may not see it."""
    _, theirs = two
    absent = Foreign(theirs.endpoint, "absent", theirs.client)
    assert denied(absent.describe_vault).replace("absent", "shared") == denied(theirs.describe_vault)


def test_a_whole_retrieval_across_accounts(two):
    """1.2, 5.5: with the owner's account ID in the path, and in all answers."""
    mine, theirs = two
    put(mine, policy(statement(mine)))
    upload = theirs.initiate_multipart_upload(partSize="1048576")
    assert upload["location"].startswith(f"/{ACCOUNT}/vaults/shared/multipart-uploads/")
    theirs.abort_multipart_upload(uploadId=upload["uploadId"])
    archive = theirs.upload_archive(body=b"round trip")["archiveId"]
    job = theirs.initiate_job(jobParameters={"Type": "archive-retrieval", "ArchiveId": archive})["jobId"]
    assert theirs.describe_job(jobId=job)["VaultARN"] == mine.arn
    assert theirs.get_job_output(jobId=job)["body"].read() == b"round trip"
    theirs.add_tags_to_vault(Tags={"by": "them"})
    assert mine.list_tags_for_vault()["Tags"] == {"by": "them"}


def test_identity_based_operations(two):
    """5.5: no vault's policy gives a foreign account CreateVault, the account's lists or its policies."""
    mine, theirs = two
    everything = {"Effect": "Allow", "Principal": "*", "Action": "glacier:*", "Resource": mine.arn}
    put(mine, policy(everything))
    client = theirs.client
    denied(client.create_vault, accountId=ACCOUNT, vaultName="shared")
    denied(client.list_vaults, accountId=ACCOUNT)
    denied(client.get_data_retrieval_policy, accountId=ACCOUNT)
    denied(client.set_data_retrieval_policy, accountId=ACCOUNT, Policy={"Rules": [{"Strategy": "None"}]})
    denied(client.list_provisioned_capacity, accountId=ACCOUNT)
    denied(client.purchase_provisioned_capacity, accountId=ACCOUNT)
    assert client.get_data_retrieval_policy()["Policy"]["Rules"][0]["Strategy"] == "None"


@pytest.mark.parametrize(
    "allowed,change",
    [
        (True, {}),
        (True, {"Principal": "*"}),
        (True, {"Principal": {"AWS": "*"}}),
        (True, {"Principal": {"AWS": OTHER}}),
        (True, {"Principal": {"AWS": [ACCOUNT, f"arn:aws:iam::{OTHER}:root"]}}),
        (False, {"Principal": {"AWS": ACCOUNT}}),
        (True, {"Action": "glacier:Describe*"}),
        (True, {"Action": "GLACIER:describevault"}),
        (True, {"Action": ["glacier:ListJobs", "glacier:D?scribeVault"]}),
        (False, {"Action": "glacier:DescribeJob"}),
        (True, {"Resource": "arn:aws:glacier:us-east-1:*:vaults/sh*"}),
        (True, {"Resource": ["arn:aws:glacier:us-east-1:000000000000:vaults/x", "arn:aws:glacier:*:*:vaults/share?"]}),
        (True, {"Condition": {"StringEquals": {"glacier:ResourceTag/team": "red"}}}),
        (True, {"Condition": {"StringEquals": {"glacier:resourcetag/team": ["blue", "red"]}}}),
        (False, {"Condition": {"StringEquals": {"glacier:ResourceTag/team": "blue"}}}),
        (False, {"Condition": {"StringEquals": {"glacier:ResourceTag/none": "red"}}}),
        (True, {"Condition": {"StringNotEquals": {"glacier:ResourceTag/none": "red"}}}),
        (True, {"Condition": {"StringEqualsIfExists": {"glacier:ResourceTag/none": "red"}}}),
        (True, {"Condition": {"StringLike": {"glacier:ResourceTag/team": "r*"}}}),
        (False, {"Condition": {"StringNotLike": {"glacier:ResourceTag/team": "r*"}}}),
        (True, {"Condition": {"StringEqualsIgnoreCase": {"glacier:ResourceTag/team": "RED"}}}),
        (
            False,
            {"Condition": {"StringEquals": {"glacier:ResourceTag/team": "red", "glacier:ResourceTag/level": "9"}}},
        ),
        (True, {"Condition": {"NumericGreaterThan": {"glacier:ResourceTag/level": "2"}}}),
        (False, {"Condition": {"NumericLessThan": {"glacier:ResourceTag/level": "2"}}}),
    ],
    ids=str,
)
def test_what_statements_match(two, allowed, change):
    """5.5: principals, actions and resources with wildcards, conditions on tags."""
    mine, theirs = two
    mine.add_tags_to_vault(Tags={"team": "red", "level": "3"})
    put(mine, policy(statement(mine, action="glacier:DescribeVault") | change))
    theirs.describe_vault() if allowed else denied(theirs.describe_vault)


@pytest.mark.parametrize("resource", ["us-east-1:000000000000:vaults/other", "eu-west-1:000000000000:vaults/shared"])
def test_a_policy_for_another_vault(two, resource):
    """5.5: is refused, or allows nothing here."""
    mine, theirs = two
    body = {"Policy": policy(statement(mine, Resource=f"arn:aws:glacier:{resource}"))}
    assert mine.raw("PUT", "/access-policy", body).status in (204, 400)
    denied(theirs.describe_vault)


def test_deny_wins(two):
    """5.5: over every allow, for the owner too."""
    mine, theirs = two
    archive = mine.upload()
    put(mine, policy(statement(mine), statement(mine, "Deny", "*", "glacier:DeleteArchive")))
    denied(theirs.delete_archive, archiveId=archive)
    denied(mine.delete_archive, archiveId=archive)
    theirs.list_jobs()
    mine.delete_vault_access_policy()
    ok(mine.delete_archive(archiveId=archive), 204)


KEYS = f"""
[second]
aws_access_key_id = SECOND
aws_secret_access_key = second-secret
aws_account_id = {ACCOUNT}

[ann]
aws_access_key_id = ANN
aws_secret_access_key = ann-secret
glacierfs_user = ann

[temporary]
aws_access_key_id = TEMPORARY
aws_secret_access_key = temporary-secret
aws_session_token = token/of==
aws_account_id = {OTHER}
"""


@pytest.fixture
def keyed(serve, tmp_path):
    """An endpoint with keys that were brought, and how to get a client that finds one as AWS tools do."""
    file = tmp_path / "keys"
    file.write_text(KEYS)
    file.chmod(0o600)
    endpoint = serve("--credentials", file, "--retrieval-delay", "all=0s")

    def client(profile, **change):
        keys = configparser.ConfigParser()
        keys.read(file)
        key = [keys[profile].get(f"aws_{name}") for name in ("access_key_id", "secret_access_key", "session_token")]
        session = boto3.Session(*key[:2], change.get("token", key[2]), region_name=REGION)
        settings = botocore.config.Config(retries={"total_max_attempts": 1})
        return session.client("glacier", endpoint_url=endpoint.url, config=settings)

    return endpoint, client


def test_brought_keys(keyed):
    """5.5: `--credentials`; a second key of the owner, and one of another account with and without an Allow."""
    endpoint, client = keyed
    mine = endpoint.vault("shared")
    owners, theirs = client("second"), Foreign(endpoint, "shared", client("temporary"))
    assert owners.describe_vault(accountId="-", vaultName="shared")["VaultARN"] == mine.arn
    assert denied(theirs.describe_vault) == f"Access denied for account ID: {ACCOUNT}"
    put(mine, policy(statement(mine, action="glacier:UploadArchive")))
    archive = theirs.upload_archive(body=b"theirs")["archiveId"]
    assert mine.fetch(archive) == b"theirs"
    assert f"arn:aws:iam::{OTHER}:root is not authorized" in denied(theirs.describe_vault)
    client("temporary").create_vault(accountId="-", vaultName="shared")
    assert client("temporary").describe_vault(accountId="-", vaultName="shared")["NumberOfArchives"] == 0


def test_session_tokens(keyed):
    """6: a temporary key needs its token, a permanent one has none."""
    _, client = keyed
    client("temporary").list_vaults()
    for profile, token in (("temporary", None), ("temporary", "x"), ("second", "token/of==")):
        with pytest.raises(botocore.exceptions.ClientError) as refused:
            client(profile, token=token).list_vaults()
        assert refused.value.response["Error"]["Code"] == "UnrecognizedClientException"


def test_users(keyed):
    """5.5: a user of the owner may everything that isn't denied to the user."""
    endpoint, client = keyed
    mine, ann = endpoint.vault("shared"), client("ann")
    deny = statement(mine, "Deny", action="glacier:DeleteVault", Principal={"AWS": f"arn:aws:iam::{ACCOUNT}:user/ann"})
    put(mine, policy(deny))
    assert ann.describe_vault(vaultName="shared")["VaultARN"] == mine.arn
    says = denied(ann.delete_vault, vaultName="shared")
    assert f"User: arn:aws:iam::{ACCOUNT}:user/ann is not authorized to perform: glacier:DeleteVault" in says
    ok(mine.delete_vault(), 204)


@pytest.mark.parametrize(
    "text,says",
    [
        (None, "can't read the credentials in {file}: No such file or directory"),
        ("", "the credentials in {file} are wrong: there is no profile"),
        ("[x]\naws_access_key_id = A\n", "in the profile [x], aws_secret_access_key is missing"),
        (KEYS + KEYS.replace("[", "[my-"), "in the profile [my-second], aws_access_key_id is SECOND, as in [second]"),
        (KEYS.replace(OTHER, "1234"), 'in the profile [temporary], aws_account_id is "1234": allowed are 12 digits'),
    ],
    ids=["missing", "empty", "no secret", "twice", "account"],
)
def test_bad_keys(tmp_path, text, says):
    """Nothing is served with keys that can't be used; which and why is told, with the exit code of a wrong setting."""
    file = tmp_path / "keys"
    if text is not None:
        file.write_text(text)
        file.chmod(0o644)
    command = [PROGRAM, "serve", "--data", tmp_path / "data", "--listen", "127.0.0.1:0", "--credentials", file]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert says.format(file=file) in ended.stderr
    warning = f"others can read the keys in {file} (mode 644)"
    assert (warning in ended.stderr) == (text is not None)
