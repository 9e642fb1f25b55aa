//! Several accounts on one endpoint, and what access policies let through between them.

use serde_json::{Value, json};

use crate::client::{Api, Endpoint};

const DENIED: &str = "AccessDeniedException";
const ONE: &str = "111111111111";
const TWO: &str = "222222222222";
const THREE: &str = "333333333333";

async fn start() -> (Endpoint, Api, Api) {
    let endpoint = Endpoint::with(|config| config.accounts = [ONE, TWO, THREE].map(str::to_owned).into()).await;
    let (one, two) = (endpoint.api_of(ONE), endpoint.api_of(TWO));
    assert_eq!(endpoint.server.credentials(), &one.credentials);
    (endpoint, one, two)
}

/// A statement about the vault v of account 1.
fn statement(effect: &str, principal: Value, action: Value) -> Value {
    let resource = format!("arn:aws:glacier:us-east-1:{ONE}:vaults/v");
    json!({"Effect": effect, "Principal": principal, "Action": action, "Resource": resource})
}

async fn set(api: &Api, statements: Value) {
    let policy = json!({"Version": "2012-10-17", "Statement": statements}).to_string();
    api.send("PUT", "/-/vaults/v/access-policy", json!({"Policy": policy})).await.expect(204);
}

/// Promise: each account has vaults of its own, and without a policy learns nothing of another's, not even whether they
/// exist; settings of accounts are theirs alone.
#[tokio::test]
async fn apart() {
    let (_endpoint, one, two) = start().await;
    for api in [&one, &two] {
        api.create_vault("v").await;
    }
    two.create_vault("w").await;
    let names = async |api: &Api| api.get("/-/vaults").await.expect(200).json()["VaultList"].as_array().map(Vec::len);
    assert_eq!((names(&one).await, names(&two).await), (Some(1), Some(2)));
    let arn = one.get("/-/vaults/v").await.expect(200).json()["VaultARN"].clone();
    assert_eq!(arn, format!("arn:aws:glacier:us-east-1:{ONE}:vaults/v"));

    let refused = format!("Access denied for account ID: {ONE}");
    for (method, path) in [
        ("GET", "vaults"),
        ("GET", "vaults/v"),
        ("GET", "vaults/never"),
        ("DELETE", "vaults/v"),
        ("DELETE", "vaults/never"),
        ("PUT", "vaults/new"),
        ("GET", "vaults/v/access-policy"),
        ("DELETE", "vaults/v/archives/x"),
        ("GET", "policies/data-retrieval"),
        ("GET", "provisioned-capacity"),
        ("POST", "provisioned-capacity"),
    ] {
        two.call(method, &format!("/{ONE}/{path}")).send().await.fails(403, DENIED, &refused);
    }
    for size in [10, 100_000] {
        let upload = two.call("POST", &format!("/{ONE}/vaults/v/archives")).data(&vec![1; size]);
        upload.send().await.fails(403, DENIED, &refused);
    }
    two.get("/444444444444/vaults").await.fails(403, DENIED, "Access denied for account ID: 444444444444");

    let rule = json!({"Policy": {"Rules": [{"Strategy": "FreeTier"}]}});
    one.send("PUT", "/-/policies/data-retrieval", rule.clone()).await.expect(204);
    one.call("POST", "/-/provisioned-capacity").send().await.expect(201);
    assert_eq!(one.get("/-/policies/data-retrieval").await.expect(200).json(), rule);
    let other = two.get("/-/policies/data-retrieval").await.expect(200).json();
    assert_eq!(other, json!({"Policy": {"Rules": [{"Strategy": "None"}]}}));
    assert_eq!(two.get("/-/provisioned-capacity").await.expect(200).json(), json!({"ProvisionedCapacityList": []}));
}

/// Promise: an access policy lets exactly those in that it names, to do exactly what it allows, and denying outweighs
/// that; what they do is done to the owner's vault.
#[tokio::test]
async fn across() {
    let (endpoint, one, two) = start().await;
    let three = endpoint.api_of(THREE);
    one.create_vault("v").await;
    let root = json!({"AWS": format!("arn:aws:iam::{TWO}:root")});
    let allowed = json!(["glacier:UploadArchive", "glacier:DeleteArchive", "glacier:List*"]);
    set(
        &one,
        json!([
            statement("Allow", root.clone(), allowed),
            statement("Deny", json!("*"), json!("glacier:ListMultipartUploads"))
        ]),
    )
    .await;

    let archives = format!("/{ONE}/vaults/v/archives");
    let uploaded = two.call("POST", &archives).data(b"data").send().await.expect(201);
    let location = uploaded.header("location");
    assert!(location.starts_with(&archives), "{location}");
    two.get(&format!("/{ONE}/vaults/v/jobs")).await.expect(200);
    let says = |operation: &str| {
        format!(
            "User: arn:aws:iam::{TWO}:root is not authorized to perform: glacier:{operation} on resource: arn:aws:glacier:us-east-1:{ONE}:vaults/v"
        )
    };
    two.get(&format!("/{ONE}/vaults/v")).await.fails(403, DENIED, &says("DescribeVault"));
    two.get(&format!("/{ONE}/vaults/v/access-policy")).await.fails(403, DENIED, &says("GetVaultAccessPolicy"));
    two.get(&format!("/{ONE}/vaults/v/multipart-uploads")).await.fails(403, DENIED, &says("ListMultipartUploads"));
    let own = one.get("/-/vaults/v/multipart-uploads").await;
    own.fails(403, DENIED, "with an explicit deny in the vault access policy");
    let stranger = three.get(&format!("/{ONE}/vaults/v/jobs")).await;
    stranger.fails(403, DENIED, &format!("Access denied for account ID: {ONE}"));
    // Bad parameters come before the policy, missing things after it.
    two.call("POST", &archives).data(b"").send().await.fails(
        400,
        "InvalidParameterValueException",
        "Content-Length: 0",
    );
    two.call("DELETE", &format!("{archives}/x")).send().await.fails(404, "ResourceNotFoundException", "x");

    set(&one, json!(statement("Allow", json!("*"), json!("glacier:DescribeVault")))).await;
    for api in [&two, &three] {
        api.get(&format!("/{ONE}/vaults/v")).await.expect(200);
    }
    let gone = two.call("DELETE", &location).send().await;
    gone.fails(403, DENIED, &says("DeleteArchive"));
    let lock = json!({"Statement": statement("Deny", json!({"AWS": TWO}), json!("glacier:*"))}).to_string();
    one.send("POST", "/-/vaults/v/lock-policy", json!({"Policy": lock})).await.expect(201);
    let locked = two.get(&format!("/{ONE}/vaults/v")).await;
    locked.fails(403, DENIED, "with an explicit deny in the vault lock policy");
    three.get(&format!("/{ONE}/vaults/v")).await.expect(200);
}

/// Promise: an access policy that denies its owner everything can still be replaced by the owner.
#[tokio::test]
async fn not_locked_out() {
    let (_endpoint, one, _) = start().await;
    one.create_vault("v").await;
    set(&one, json!([statement("Deny", json!("*"), json!("*"))])).await;
    one.get("/-/vaults/v").await.fails(403, DENIED, "glacier:DescribeVault");
    one.create_vault("v").await;
    one.get("/-/vaults/v/access-policy").await.expect(200);
    set(&one, json!([statement("Deny", json!("*"), json!("glacier:DeleteVault"))])).await;
    one.get("/-/vaults/v").await.expect(200);
    one.call("DELETE", "/-/vaults/v/access-policy").send().await.expect(204);
    one.call("DELETE", "/-/vaults/v").send().await.expect(204);
}

/// Promise: an account that is given later gets a key of its own, beside the ones there were.
#[tokio::test]
async fn one_more_account() {
    let endpoint = Endpoint::start().await;
    let before = endpoint.server.credentials().clone();
    assert!(endpoint.server.credentials_of(TWO).is_none());
    endpoint.server.stop().await;
    let mut config = crate::client::config(endpoint.directory.path());
    config.accounts.push(TWO.to_owned());
    let server = glacierfs::server::Server::start(config, endpoint.clock.clone()).await.expect("the server starts");
    assert_eq!(server.credentials(), &before);
    let other = server.credentials_of(TWO).expect("a key").clone();
    Api::at(server.url(), other).get(&format!("/{TWO}/vaults")).await.expect(200);
}
