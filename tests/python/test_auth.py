"""Signatures (section 6)."""

import hashlib
import hmac
from datetime import UTC, datetime, timedelta

import pytest
from harness import REGION, VERSION, hashes, refused
from operations import OPERATIONS, ask

INVALID, STATUS = "InvalidSignatureException", 403


def now(**away):
    return datetime.now(UTC) + timedelta(**away)


def change(header, edit):
    """Changes a header after signing."""

    def spoil(request):
        value = request.headers[header]
        del request.headers[header]
        if (changed := edit(value)) is not None:
            request.headers[header] = changed

    return spoil


def authorization(edit):
    return change("Authorization", edit)


def test_no_authorization(vault):
    """1.11, 6.3."""
    answer = vault.raw("GET", spoil=authorization(lambda value: None))
    assert answer.error()[:2] == ("MissingAuthenticationTokenException", 400)
    assert vault.endpoint.send("GET", vault.path).error()[:2] == ("MissingAuthenticationTokenException", 400)


def test_an_unknown_key(endpoint):
    """1.11, 6.3."""
    client = endpoint.client(key=("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"))
    message = refused("UnrecognizedClientException", 400, client.list_vaults)
    assert message == "The security token included in the request is invalid."


def test_a_token_of_nobody(vault):
    """6.3: permanent keys have none."""
    answer = vault.raw("GET", headers={"x-amz-security-token": "token"})
    assert answer.error()[:2] in (("UnrecognizedClientException", 400), ("ExpiredTokenException", 403))


def test_a_wrong_secret(vault):
    """6.3: the words of the service, then what it computed."""
    access, secret = vault.endpoint.key()
    code, status, message = vault.raw("GET", key=(access, secret[::-1])).error()
    assert (code, status) == (INVALID, STATUS)
    assert message.startswith(
        "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access "
        "Key and signing method. Consult the service documentation for details."
    )
    for line in ("AWS4-HMAC-SHA256", f"GET\n{vault.path}\n", "host;x-amz-date;x-amz-glacier-version"):
        assert line in message, message


@pytest.mark.parametrize(
    "settings", [{"region": "eu-west-1"}, {"service": "s3"}, {"service": "GLACIER"}], ids=lambda s: "-".join(s.values())
)
def test_wrong_scopes(vault, settings):
    """6.3."""
    assert vault.raw("GET", **settings).error()[:2] == (INVALID, STATUS)


def test_the_date_of_the_scope(vault):
    """6.1: is the day of the request."""
    day, other = now().strftime("/%Y%m%d/"), now(days=-1).strftime("/%Y%m%d/")
    assert vault.raw("GET", spoil=authorization(lambda v: v.replace(day, other))).error()[:2] == (INVALID, STATUS)


@pytest.mark.parametrize("seconds", [-290, -60, 60, 290])
def test_within_five_minutes(vault, seconds):
    """6.3, 7.6.14."""
    assert vault.raw("GET", at=now(seconds=seconds)).status == 200


@pytest.mark.parametrize(
    "seconds,words,sign",
    [
        (-310, "Signature expired: {} is now earlier than ", "-"),
        (310, "Signature not yet current: {} is still later than ", "+"),
    ],
)
def test_beyond_five_minutes(vault, seconds, words, sign):
    """6.3, 7.6.14: not the fifteen of S3; with the service's words."""
    moment = now(seconds=seconds)
    code, status, message = vault.raw("GET", at=moment).error()
    assert (code, status) == (INVALID, STATUS)
    assert message.startswith(words.format(moment.strftime("%Y%m%dT%H%M%SZ"))) and message.endswith(f" {sign} 5 min.)")
    for days in (-365, -1, 1, 365):
        assert vault.raw("GET", at=now(days=days)).error()[:2] == (INVALID, STATUS)


@pytest.mark.parametrize(
    "method,rest,query,headers",
    [
        ("GET", "", "", {}),
        ("GET", "/jobs", "?marker=&limit=2&completed=true", {}),
        ("GET", "/jobs", "?statuscode=InProgress&completed=false&limit=10", {}),
        ("POST", "/archives", "", hashes(b"data") | {"x-amz-archive-description": "many   inner    spaces"}),
        ("GET", "", "", {"Content-Type": "application/json", "x-amz-extra": "  extra   header "}),
        ("GET", "", "", {"Range": "bytes=0-1", "X-Amz-Upper-CASE": "Yes"}),
    ],
)
def test_canonical_requests(vault, method, rest, query, headers):
    """6.1, 6.2, 7.6.9: the query is signed sorted, sent as it is; spaces collapse; any further header may be signed."""
    body = b"data" if method == "POST" else b""
    assert vault.raw(method, rest + query, body, headers).status in (200, 201)


@pytest.mark.parametrize("date", ["x-amz-date", "date"])
def test_by_an_outside_signer(vault, date):
    """1.3, 6.1: a signature computed by hand, with only the least that must be signed, and either date header."""
    access, secret = vault.endpoint.key()
    stamp = now().strftime("%Y%m%dT%H%M%SZ")
    scope = f"{stamp[:8]}/{REGION}/glacier/aws4_request"
    names = sorted(["host", date, "x-amz-glacier-version"])
    signed, values = ";".join(names), {"host": vault.endpoint.address, date: stamp, **VERSION}
    canonical = (
        f"GET\n{vault.path}\n\n{''.join(f'{name}:{values[name]}' + chr(10) for name in names)}\n"
        f"{signed}\n{hashlib.sha256(b'').hexdigest()}"
    )
    text = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    key = f"AWS4{secret}".encode()
    for part in (*scope.split("/"), text):
        key = hmac.digest(key, part.encode(), "sha256")
    headers = VERSION | {
        date: stamp,
        "Authorization": f"AWS4-HMAC-SHA256 Credential={access}/{scope}, SignedHeaders={signed}, Signature={key.hex()}",
    }
    assert vault.endpoint.send("GET", vault.path, headers=headers).status == 200
    # Without the spaces between, as some clients write it.
    headers["Authorization"] = headers["Authorization"].replace(", ", ",")
    assert vault.endpoint.send("GET", vault.path, headers=headers).status == 200


@pytest.mark.parametrize(
    "spoil",
    [
        lambda request: request.headers.replace_header("x-amz-glacier-version", "2012-06-02"),
        authorization(lambda value: value[:-1] + ("0" if value[-1] != "0" else "1")),
        authorization(lambda value: value.replace("host;", "")),
        change("X-Amz-Date", lambda value: value[:-2] + ("0Z" if value[-2] != "0" else "1Z")),
    ],
    ids=["a signed header", "the signature", "host not signed", "the date"],
)
def test_requests_changed_on_their_way(vault, spoil):
    """6.2, 6.3: host and date must be signed, and what is signed can't be changed."""
    code, status, _ = vault.raw("GET", spoil=spoil).error()
    assert status in (400, 403) and code in (INVALID, "IncompleteSignatureException"), code


def test_another_path_and_query(vault):
    """6.1: are covered by the signature."""
    kept = {}
    vault.raw("GET", "/jobs?limit=2", spoil=lambda request: kept.update(request.headers.items()))
    for path in ("/jobs?limit=3", "/jobs", "", "/multipart-uploads?limit=2"):
        assert vault.endpoint.send("GET", vault.path + path, headers=kept).error()[:2] == (INVALID, STATUS)
    assert vault.endpoint.send("DELETE", vault.path + "/jobs?limit=2", headers=kept).status in (400, 403)
    assert vault.endpoint.send("GET", vault.path + "/jobs?limit=2", headers=kept).status == 200


def test_another_body(vault):
    """6.2, 6.3: the body is covered, with its hash in a header and without."""
    kept = {}
    body = b'{"Tags": {"a": "b"}}'
    keep = lambda request: kept.update(request.headers.items())
    vault.raw("POST", "/tags?operation=add", body, spoil=keep)
    path = f"{vault.path}/tags?operation=add"
    kept.pop("Content-Length", None)
    answer = vault.endpoint.send("POST", path, body.replace(b"b", b"c"), kept)
    assert answer.error()[:2] == (INVALID, STATUS)
    hash = hashes(b"other")["x-amz-content-sha256"]
    code, status, message = vault.raw("POST", "/tags?operation=add", body, {"x-amz-content-sha256": hash}).error()
    assert (code, status) == (INVALID, STATUS) and "x-amz-content-sha256" in message


@pytest.mark.parametrize(
    "value",
    [
        "",
        "AWS4-HMAC-SHA256",
        "Basic dXNlcjpwYXNzd29yZA==",
        "Bearer token",
        "AWS4-HMAC-SHA256 Credential=x, SignedHeaders=host, Signature=0",
        "AWS4-HMAC-SHA256 Credential=a/b/c/d/e, SignedHeaders=, Signature=",
        "AWS4-HMAC-SHA512 Credential=a/20120525/us-east-1/glacier/aws4_request, SignedHeaders=host, Signature=0",
        "AWS4-HMAC-SHA256 " + "x" * 7000,
        "=,=,=" * 100,
    ],
    ids=lambda value: value[:40],
)
def test_nonsense(vault, value):
    """6.3: is refused as a client's fault."""
    _, status, _ = vault.raw("GET", spoil=authorization(lambda _: value)).error()
    assert status in (400, 403)


def test_dates_of_requests(vault):
    """1.3: without any date, or with nonsense, a request is refused."""
    for edit in (lambda value: None, lambda value: "yesterday", lambda value: "", lambda value: value[:8]):
        assert vault.raw("GET", spoil=change("X-Amz-Date", edit)).error()[1] in (400, 403)


def test_nothing_is_done_without_a_signature(endpoint):
    """6: whatever the operation."""
    vault = endpoint.vault("untouched")
    access, secret = endpoint.key()
    for operation in OPERATIONS:
        answer = ask(endpoint, operation, vault=vault.name, key=(access, secret + "x"))
        assert answer.error()[:2] == (INVALID, STATUS), operation
    assert vault.describe_vault()["NumberOfArchives"] == 0
    assert vault.list_multipart_uploads()["UploadsList"] == [] and vault.list_jobs()["JobList"] == []
