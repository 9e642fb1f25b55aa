//! Who may ask: signatures, their time, the account, the version.

use std::time::Duration;

use jiff::Timestamp;

use crate::client::Endpoint;

const MINUTE: Duration = Duration::from_secs(60);

/// Promise: a request is answered only with a signature by the endpoint's key, for its region, within five minutes of its
/// time; what is wrong is said in the service's words.
#[tokio::test]
async fn signatures() {
    let Endpoint { api, .. } = &Endpoint::start().await;
    let target = "/-/vaults?limit=2&marker=";
    api.get(target).await.expect(200);

    api.call("GET", target).unsigned().send().await.fails(400, "MissingAuthenticationTokenException", "");
    let mut wrong = api.clone();
    wrong.credentials.secret_key.push('x');
    let says = "The request signature we calculated does not match the signature you provided.";
    wrong.get(target).await.fails(403, "InvalidSignatureException", says);
    let mut unknown = api.clone();
    unknown.credentials.access_key = "AKIAIOSFODNN7EXAMPLE".to_owned();
    let says = "The security token included in the request is invalid.";
    unknown.get(target).await.fails(400, "UnrecognizedClientException", says);
    let mut token = api.clone();
    token.credentials.session_token = Some("token".to_owned());
    token.get(target).await.fails(400, "UnrecognizedClientException", says);
    let mut elsewhere = api.clone();
    elsewhere.region = "eu-west-1".to_owned();
    elsewhere.get(target).await.fails(
        403,
        "InvalidSignatureException",
        "Credential should be scoped to a valid region",
    );

    let mut skewed = api.clone();
    for (at, says) in [
        (Timestamp::now() - 6 * MINUTE, "Signature expired: "),
        (Timestamp::now() + 6 * MINUTE, "Signature not yet current: "),
    ] {
        skewed.signed_at = Some(at);
        skewed.get(target).await.fails(403, "InvalidSignatureException", says);
        skewed.call("PUT", "/-/vaults/v").send().await.fails(403, "InvalidSignatureException", says);
        let upload = skewed.call("POST", "/-/vaults/v/archives").data(&[1; 300_000]);
        upload.send().await.fails(403, "InvalidSignatureException", says);
    }
    for at in [Timestamp::now() - 4 * MINUTE, Timestamp::now() + 4 * MINUTE] {
        skewed.signed_at = Some(at);
        skewed.get(target).await.expect(200);
    }
}

/// Promise: only the key's own account is served, only one version is known, and a body must be what was signed.
#[tokio::test]
async fn account_version_and_payload() {
    let Endpoint { api, .. } = &Endpoint::start().await;
    api.get("/000000000000/vaults").await.expect(200);
    for other in ["999999999999", "0000-0000-0000", "x"] {
        let answer = api.get(&format!("/{other}/vaults/v")).await;
        answer.fails(403, "AccessDeniedException", &format!("Access denied for account ID: {other}"));
    }
    let missing = api.call("GET", "/-/vaults").without("x-amz-glacier-version").send().await.expect(400);
    let body = r#"{"code":"MissingParameterValueException","message":"Required parameter missing: API version","type":"Client"}"#;
    assert_eq!(String::from_utf8_lossy(&missing.body), body);
    let other = api.call("GET", "/-/vaults").header("x-amz-glacier-version", "2015-01-01").send().await;
    other.fails(400, "InvalidParameterValueException", "x-amz-glacier-version: 2015-01-01");

    let hash = glacierfs::glacier::sigv4::payload_hash(b"{}");
    let jobs = || api.call("POST", "/-/vaults/v/jobs").header("x-amz-content-sha256", &hash);
    jobs().body("{}").send().await.fails(400, "MissingParameterValueException", "Required parameter missing: type");
    jobs().body("{ }").send().await.fails(403, "InvalidSignatureException", "does not match the computed payload hash");
}
