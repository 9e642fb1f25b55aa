"""What all operations have in common (1.1 to 1.13), and the checklist for servers (7.6) where no other file has it."""

import email.utils
import http.client
import json
import time

import pytest
from harness import ACCOUNT, MIB, OTHER, VERSION, ok, pattern, refused, tree_hash
from operations import EVENTS, OF_VAULTS, OPERATIONS, POLICY, TOPIC, ask

MISSING_VERSION = (
    b'{"code":"MissingParameterValueException","message":"Required parameter missing: API version","type":"Client"}'
)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_the_version_is_required(endpoint, operation):
    """1.3, 1.5: and the error is byte for byte the real service's, all 109 of them."""
    answer = ask(endpoint, operation, version={})
    assert (answer.status, answer.body) == (400, MISSING_VERSION)
    assert ask(endpoint, operation, version={"x-amz-glacier-version": "2013-01-01"}).error()[:2] == (
        "InvalidParameterValueException",
        400,
    )


@pytest.mark.parametrize("operation", OPERATIONS)
def test_another_account(endpoint, operation):
    """1.2, 1.11: 403 with the account as it was sent."""
    for account in ("999999999999", "x"):
        assert ask(endpoint, operation, account=account).error() == (
            "AccessDeniedException",
            403,
            f"Access denied for account ID: {account}",
        )


@pytest.mark.parametrize("operation", [name for name in OF_VAULTS if name not in ("CreateVault", "DeleteVault")])
def test_a_vault_that_is_not(endpoint, operation):
    """1.11 and E404v of each section: the ARN has the real account, also when "-" was sent."""
    for account in ("-", ACCOUNT):
        assert ask(endpoint, operation, account=account).error() == (
            "ResourceNotFoundException",
            404,
            f"Vault not found for ARN: arn:aws:glacier:us-east-1:{ACCOUNT}:vaults/no-such-vault",
        )


@pytest.mark.parametrize("operation", OPERATIONS)
def test_what_every_answer_has(serve, operation, endpoint):
    """1.4, 7.6.1, 7.6.14: a request ID of 47 characters, a new one each time, and an accurate date."""
    seen = set()
    for settings in ({}, {"version": {}}, {"key": ("AKIAIOSFODNN7EXAMPLE", "x")}):
        vault = endpoint.vault().name if not settings and operation not in ("PurchaseProvisionedCapacity",) else "v"
        answer = ask(endpoint, operation, vault=vault, **settings)
        request_id = answer.headers["x-amzn-RequestId"]
        assert len(request_id) == 47 and request_id.replace("-", "a").replace("_", "a").isalnum()
        seen.add(request_id)
        date = email.utils.parsedate_to_datetime(answer.headers["Date"]).timestamp()
        assert abs(date - time.time()) < 5
        assert "Transfer-Encoding" not in answer.headers
        if answer.status == 204:
            assert answer.headers["Content-Length"] is None and answer.body == b""
        else:
            assert answer.headers["Content-Length"] == str(len(answer.body))
        if answer.body:
            assert answer.headers["Content-Type"] == "application/json"
            json.loads(answer.body)
        if answer.status >= 400:
            answer.error()
        assert "x-amzn-ErrorType" not in answer.headers or answer.status >= 400
    assert len(seen) == 3


def test_every_operation_by_boto3(serve):
    """2: each of the 33 does its work and answers with its status; the account in answers is the real one."""
    endpoint = serve("--retrieval-delay", "all=0s", "--inventory-interval", "0s")
    done = set()
    client = endpoint.glacier
    vault = {"vaultName": "all", "accountId": "-"}

    def call(operation, status, **parameters):
        done.add(client.meta.method_to_api_mapping[operation])
        return ok(getattr(client, operation)(**parameters), status)

    assert call("create_vault", 201, **vault)["location"] == f"/{ACCOUNT}/vaults/all"
    assert call("describe_vault", 200, **vault)["VaultARN"] == f"arn:aws:glacier:us-east-1:{ACCOUNT}:vaults/all"
    assert len(call("list_vaults", 200)["VaultList"]) == 1
    config = {"SNSTopic": TOPIC, "Events": EVENTS}
    call("set_vault_notifications", 204, **vault, vaultNotificationConfig=config)
    assert call("get_vault_notifications", 200, **vault)["vaultNotificationConfig"] == config
    call("delete_vault_notifications", 204, **vault)
    call("set_vault_access_policy", 204, **vault, policy={"Policy": POLICY})
    assert call("get_vault_access_policy", 200, **vault)["policy"] == {"Policy": POLICY}
    call("delete_vault_access_policy", 204, **vault)
    call("initiate_vault_lock", 201, **vault, policy={"Policy": POLICY})
    assert call("get_vault_lock", 200, **vault)["State"] == "InProgress"
    call("abort_vault_lock", 204, **vault)
    lock = client.initiate_vault_lock(**vault, policy={"Policy": POLICY})["lockId"]
    call("complete_vault_lock", 204, **vault, lockId=lock)
    call("add_tags_to_vault", 204, **vault, Tags={"k": "v"})
    assert call("list_tags_for_vault", 200, **vault)["Tags"] == {"k": "v"}
    call("remove_tags_from_vault", 204, **vault, TagKeys=["k"])
    data = pattern(MIB + 1)
    archive = call("upload_archive", 201, **vault, body=data)
    assert archive["location"] == f"/{ACCOUNT}/vaults/all/archives/{archive['archiveId']}"
    upload = {**vault, "uploadId": call("initiate_multipart_upload", 201, **vault, partSize=str(MIB))["uploadId"]}
    call("upload_multipart_part", 204, **upload, range="bytes 0-1048575/*", body=data[:MIB])
    assert len(call("list_parts", 200, **upload)["Parts"]) == 1
    assert len(call("list_multipart_uploads", 200, **vault)["UploadsList"]) == 1
    call("complete_multipart_upload", 201, **upload, archiveSize=str(MIB), checksum=tree_hash(data[:MIB]))
    upload["uploadId"] = client.initiate_multipart_upload(**vault, partSize=str(MIB))["uploadId"]
    call("abort_multipart_upload", 204, **upload)
    parameters = {"Type": "archive-retrieval", "ArchiveId": archive["archiveId"]}
    job = {**vault, "jobId": call("initiate_job", 202, **vault, jobParameters=parameters)["jobId"]}
    assert call("describe_job", 200, **job)["Completed"]
    assert len(call("list_jobs", 200, **vault)["JobList"]) == 1
    assert call("get_job_output", 200, **job)["body"].read() == data
    call("get_data_retrieval_policy", 200)
    call("set_data_retrieval_policy", 204, Policy={"Rules": [{"Strategy": "None"}]})
    call("list_provisioned_capacity", 200)
    call("purchase_provisioned_capacity", 201)
    call("delete_archive", 204, **vault, archiveId=archive["archiveId"])
    client.create_vault(vaultName="other")
    call("delete_vault", 204, vaultName="other")
    assert done == set(OPERATIONS) == set(client.meta.service_model.operation_names)


@pytest.mark.parametrize(
    "method,path",
    [
        ("GET", "/"),
        ("GET", "/-"),
        ("GET", "/vaults/x"),
        ("POST", "/vaults/x/archives"),
        ("GET", "/-/vaults/"),
        ("GET", "/-/vaults/x/"),
        ("GET", "/-/vaults/x/archives"),
        ("POST", "/-/vaults/x"),
        ("PUT", "/-/vaults/x/jobs"),
        ("PATCH", "/-/vaults/x"),
        ("GET", "/-/vaults/x/jobs/y/output/z"),
        ("GET", "/-/notification-policy"),
        ("GET", "/-/priority-capacity"),
        ("PUT", "/-/vaults/x/lock-policy"),
        ("PUT", "/-/vaults/x/notification-policy"),
    ],
)
def test_no_operation(endpoint, method, path):
    """1.2, 1.11, 2: 400 BadRequest or 404, with the envelope."""
    code, status, _ = endpoint.raw(method, path).error()
    assert (code, status) == ("BadRequest", 400) or status == 404


def test_tags_need_an_operation(vault):
    """3.15: the query selects it; missing or other is 400."""
    for query in ("", "?operation=", "?operation=replace"):
        assert vault.raw("POST", f"/tags{query}", {"Tags": {"a": "b"}}).error()[1] == 400


def test_a_body_where_none_belongs(vault):
    """1.3, 6.2: counts for the signature and is otherwise nothing."""
    assert vault.raw("GET", "", b"surprise").status == 200
    assert vault.raw("DELETE", "/notification-configuration", b"{}", {"Content-Type": "application/json"}).status == 204


@pytest.mark.parametrize("operation", [name for name, (_, _, body, _) in OPERATIONS.items() if isinstance(body, dict)])
def test_bodies_that_are_no_json(endpoint, vault, operation):
    """1.5, 1.11: SerializationException for all operations that read JSON; the wrong type of a member as well."""
    method, path, _, _ = OPERATIONS[operation]
    path = path.replace("V", f"/vaults/{vault.name}", 1) if path.startswith("V") else path
    for body in (b"{", b"[]", b'"x"', b"{'a': 1}", b'{"a": 1,}', b"\xff"):
        answer = endpoint.raw(method, f"/-{path}", body)
        assert answer.status == 400, (body, answer)
        assert answer.error()[0] == "SerializationException" or body in (b"[]", b'"x"'), (body, answer)


def test_one_connection_for_many_requests(vault):
    """1.1: refusals don't break a connection that is kept, with or without a body."""

    connection = http.client.HTTPConnection(vault.endpoint.address, timeout=60)
    kept = {}
    vault.raw("GET", spoil=lambda request: kept.update(request.headers.items()))
    for _ in range(3):
        connection.request("GET", vault.path, headers=kept)
        answer = connection.getresponse()
        assert answer.status == 200 and answer.read()
        connection.request("POST", vault.path + "/archives", b"x" * (3 * MIB), VERSION)
        answer = connection.getresponse()
        assert answer.status == 400 and answer.read()
    connection.close()


def test_a_body_that_is_too_large(vault):
    """1.11: a policy of megabytes is a plain refusal."""
    assert vault.raw("PUT", "/access-policy", {"Policy": "x" * (3 * MIB)}).error()[1] in (400, 413)


def test_retries_of_boto3(serve):
    """1.11, 7.1, 7.6.6: throttling is 400 by its code, 500 is ServiceUnavailable, and boto3 tries all again."""
    endpoint = serve("--admin")
    vault = endpoint.vault()
    for code, status in (
        ("ThrottlingException", 400),
        ("ServiceUnavailableException", 500),
        ("InsufficientCapacityException", 503),
        ("RequestTimeoutException", 408),
    ):
        fault = {"error": {"status": status, "code": code, "message": "Said by a test."}}
        endpoint.admin("PUT", "faults", {"seed": 1, "rules": [{"operation": "*", "count": 2, "fault": fault}]})
        assert refused(code, status, vault.describe_vault) == "Said by a test."
        patient = endpoint.client(retries={"mode": "legacy", "total_max_attempts": 5})
        # 408 is retried for uploads only, as only they have it.
        response = patient.upload_archive(vaultName=vault.name, body=b"data")
        assert response["ResponseMetadata"]["RetryAttempts"] == 1
    endpoint.admin("DELETE", "faults")


def test_the_administration_is_not_for_clients(endpoint, clocked):
    """1.2: without --admin there is no such path; with it, a client's key opens nothing."""
    for path in ("clock", "faults", "inventory"):
        for method in ("GET", "POST", "PUT", "DELETE"):
            assert endpoint.raw(method, f"/_glacierfs/{path}").error()[1] in (400, 403, 404)
            answer = clocked.raw(method, f"/_glacierfs/{path}")
            assert answer.status in (400, 401, 403, 404, 405), answer


def test_accounts(serve):
    """1.2: "-" and the account itself are the same; each account has its own vaults."""
    endpoint = serve("--account", ACCOUNT, "--account", OTHER)
    mine, theirs = endpoint.glacier, endpoint.client(f"glacierfs-{OTHER}")
    assert mine.create_vault(vaultName="v", accountId=ACCOUNT)["location"] == f"/{ACCOUNT}/vaults/v"
    assert (
        mine.describe_vault(vaultName="v")["VaultARN"]
        == mine.describe_vault(vaultName="v", accountId=ACCOUNT)["VaultARN"]
    )
    assert theirs.list_vaults()["VaultList"] == []
    assert theirs.create_vault(vaultName="v")["location"] == f"/{OTHER}/vaults/v"
    assert len(mine.list_vaults()["VaultList"]) == 1
    refused("AccessDeniedException", 403, theirs.list_vaults, accountId=ACCOUNT)
    refused("AccessDeniedException", 403, theirs.create_vault, vaultName="w", accountId=ACCOUNT)
