//! Several accounts on one endpoint, and what access policies let through between them.

use glacierfs::glacier::sigv4::Credentials;
use glacierfs::server::KeyFile;
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

/// A file with keys that people bring: more of the first account, one of the second, and one of an account of its own.
const BROUGHT: &str = "
[root]
aws_access_key_id = ROOT
aws_secret_access_key = root-secret
[ann]
aws_access_key_id = ANN
aws_secret_access_key = ann-secret
aws_account_id = 111111111111
glacierfs_user = team/ann
[bob]
aws_access_key_id = BOB
aws_secret_access_key = bob-secret
aws_account_id = 222222222222
aws_session_token = bob/token==
glacierfs_user = bob
[own]
aws_access_key_id = OWN
aws_secret_access_key = own-secret
aws_account_id = 444444444444
";

/// An endpoint with accounts 1 to 3 and the keys of [`BROUGHT`].
async fn start_with_keys() -> Endpoint {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("keys");
    std::fs::write(&file, BROUGHT).expect("written");
    let keys = KeyFile::read(&file).expect("good keys");
    // It is read at the start only.
    drop(directory);
    Endpoint::with(|config| {
        config.accounts = [ONE, TWO, THREE].map(str::to_owned).into();
        config.credentials = Some(keys);
    })
    .await
}

/// Something that signs with the key of a profile in [`BROUGHT`].
fn with_key(endpoint: &Endpoint, profile: &str, session_token: Option<&str>) -> Api {
    let credentials = Credentials {
        access_key: profile.to_uppercase(),
        secret_key: format!("{profile}-secret"),
        session_token: session_token.map(str::to_owned),
    };
    Api::at(endpoint.server.url(), credentials)
}

/// Promise: keys that are brought work beside the endpoint's own, each for its account, and an account that has no other
/// key is served too; a temporary one only with its token, a permanent one only without any.
#[tokio::test]
async fn brought_keys() {
    let endpoint = start_with_keys().await;
    let vaults = async |api: &Api| {
        let list = api.get("/-/vaults").await.expect(200).json()["VaultList"].clone();
        list.as_array().into_iter().flatten().map(|vault| vault["VaultARN"].clone()).collect::<Vec<_>>()
    };
    let (root, ann) = (with_key(&endpoint, "root", None), with_key(&endpoint, "ann", None));
    root.create_vault("v").await;
    for api in [&root, &ann, &endpoint.api_of(ONE)] {
        assert_eq!(vaults(api).await, [format!("arn:aws:glacier:us-east-1:{ONE}:vaults/v")]);
    }
    let bob = with_key(&endpoint, "bob", Some("bob/token=="));
    assert!(vaults(&bob).await.is_empty() && vaults(&endpoint.api_of(TWO)).await.is_empty());
    let own = with_key(&endpoint, "own", None);
    own.create_vault("v").await;
    assert_eq!(vaults(&own).await, ["arn:aws:glacier:us-east-1:444444444444:vaults/v"]);
    root.get("/444444444444/vaults/v").await.fails(403, DENIED, "Access denied for account ID: 444444444444");
    assert!(endpoint.server.credentials_of("444444444444").is_none(), "it has no key but the one that was brought");

    for (profile, token) in [
        ("bob", None),
        ("bob", Some("bob/token=")),
        ("bob", Some("")),
        ("root", Some("bob/token==")),
        ("root", Some("")),
        ("nobody", None),
    ] {
        let refused = with_key(&endpoint, profile, token).get("/-/vaults").await;
        refused.fails(400, "UnrecognizedClientException", "The security token included in the request is invalid.");
    }
    let mut wrong = with_key(&endpoint, "root", None);
    wrong.credentials.secret_key = "ann-secret".to_owned();
    wrong.get("/-/vaults").await.fails(403, "InvalidSignatureException", "does not match");
}

/// Promise: a policy reaches single users by their names; one of the owner may what the owner may unless denied, which
/// then names the user, and can't undo it.
#[tokio::test]
async fn users() {
    let endpoint = start_with_keys().await;
    let (root, ann) = (with_key(&endpoint, "root", None), with_key(&endpoint, "ann", None));
    let (bob, two) = (with_key(&endpoint, "bob", Some("bob/token==")), endpoint.api_of(TWO));
    ann.create_vault("v").await;
    let user = |account: &str, name: &str| json!({"AWS": format!("arn:aws:iam::{account}:user/{name}")});
    set(
        &ann,
        json!([
            statement("Deny", user(ONE, "team/ann"), json!("glacier:DeleteVault*")),
            statement("Allow", user(TWO, "bob"), json!("glacier:DescribeVault"))
        ]),
    )
    .await;
    let says = format!(
        "User: arn:aws:iam::{ONE}:user/team/ann is not authorized to perform: glacier:DeleteVault on resource: \
         arn:aws:glacier:us-east-1:{ONE}:vaults/v with an explicit deny in the vault access policy"
    );
    ann.call("DELETE", "/-/vaults/v").send().await.fails(403, DENIED, &says);
    ann.get("/-/vaults/v").await.expect(200);
    let undoing = ann.call("DELETE", "/-/vaults/v/access-policy").send().await;
    undoing.fails(403, DENIED, "user/team/ann is not authorized to perform: glacier:DeleteVaultAccessPolicy");

    bob.get(&format!("/{ONE}/vaults/v")).await.expect(200);
    let says = format!("User: arn:aws:iam::{TWO}:user/bob is not authorized to perform: glacier:ListJobs");
    bob.get(&format!("/{ONE}/vaults/v/jobs")).await.fails(403, DENIED, &says);
    let says = format!("Access denied for account ID: {ONE}");
    two.get(&format!("/{ONE}/vaults/v")).await.fails(403, DENIED, &says);

    let everyone = json!({"AWS": [TWO]});
    set(&root, json!([statement("Allow", everyone, json!("glacier:ListJobs"))])).await;
    for api in [&bob, &two] {
        api.get(&format!("/{ONE}/vaults/v/jobs")).await.expect(200);
    }
    ann.call("DELETE", "/-/vaults/v").send().await.expect(204);
}

/// Promise: a key that is brought can't take the place of one of the endpoint's own: the start is refused, and says which.
#[tokio::test]
async fn brought_twice() {
    let endpoint = Endpoint::start().await;
    endpoint.server.stop().await;
    let data = endpoint.directory.path();
    let mut config = crate::client::config(data);
    config.credentials = Some(KeyFile::read(&data.join("credentials")).expect("good keys"));
    let error = glacierfs::server::Server::start(config, endpoint.clock.clone()).await.err().expect("no start");
    let error = error.to_string();
    assert!(error.contains("credentials are wrong: in the profile [glacierfs], aws_access_key_id is AKIA"), "{error}");
    assert!(error.contains("the endpoint's own"), "{error}");
}
