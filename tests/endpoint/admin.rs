//! The routes of testers: who gets in, the clock, inventories on demand.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use glacierfs::server::Server;
use glacierfs::util::clock::Clock;
use serde_json::json;

use crate::client::{Api, DAY, Endpoint, HOUR, config};

const INVALID: &str = "InvalidParameterValueException";

/// Promise: without being asked for, the routes are like any unknown path, and leave no token; with them, only the token
/// opens them, and a good signature doesn't.
#[tokio::test]
async fn only_with_the_token() {
    let endpoint = Endpoint::start().await;
    let routes = [("GET", "clock"), ("POST", "clock"), ("POST", "inventory"), ("GET", "faults"), ("PUT", "faults")];
    for (method, route) in routes {
        let answer = endpoint.api.call(method, &format!("/_glacierfs/{route}")).send().await;
        answer.fails(400, "BadRequest", &format!("No operation of the API is {method} /_glacierfs/{route}"));
    }
    assert!(!endpoint.directory.path().join("admin-token").exists() && endpoint.server.admin_token().is_none());
    let account = endpoint.api.get("/_glacierfs/vaults").await;
    account.fails(403, "AccessDeniedException", "Access denied for account ID: _glacierfs");

    let endpoint = Endpoint::with(|config| config.admin = true).await;
    let api = &endpoint.api;
    let kept = std::fs::read_to_string(endpoint.directory.path().join("admin-token")).expect("the token");
    assert_eq!(endpoint.server.admin_token(), Some(kept.trim()));
    for (method, route) in routes {
        let path = format!("/_glacierfs/{route}");
        for call in [
            api.call(method, &path),
            api.call(method, &path).unsigned(),
            api.call(method, &path).unsigned().header("authorization", "Bearer 0123456789"),
        ] {
            call.send().await.fails(403, "AccessDeniedException", "Authorization: Bearer TOKEN");
        }
    }
    endpoint.admin("GET", "clock", "").await.expect(200);
    let says = "There is no GET /_glacierfs/vaults. There are GET and POST /_glacierfs/clock";
    endpoint.admin("GET", "vaults", "").await.fails(400, "BadRequest", says);
}

/// Promise: the clock that was moved is the one of jobs and inventories; it goes forward only; and a restart goes on from
/// where it was.
#[tokio::test]
async fn the_clock_moves() {
    let endpoint = Endpoint::with(|config| config.admin = true).await;
    let api = &endpoint.api;
    let shown = json!({"mode": "virtual", "now": "2013-03-20T17:03:43.221Z"});
    assert_eq!(endpoint.admin("GET", "clock", "").await.expect(200).json(), shown);
    api.create_vault("v").await;
    let archive = api.upload("v", b"bytes", "").await;
    let job = api.job("v", json!({"Type": "archive-retrieval", "ArchiveId": archive})).await;
    let moved = endpoint.admin("POST", "clock", r#"{"advance": "3h 59min 59s"}"#).await.expect(200);
    assert_eq!(moved.json(), json!({"mode": "virtual", "now": "2013-03-20T21:03:42.221Z"}));
    assert_eq!(api.describe_job("v", &job).await["Completed"], false);
    endpoint.admin("POST", "clock", r#"{"set": "2013-03-20T21:03:43.221Z"}"#).await.expect(200);
    assert_eq!(api.describe_job("v", &job).await["Completed"], true);
    for (body, says) in [
        (r#"{"set": "2013-03-20T21:03:43Z"}"#, "can't go back to 2013-03-20T21:03:43Z"),
        (r#"{"advance": "-1h"}"#, "Invalid advance: \"-1h\""),
        (r#"{"advance": 3}"#, "Invalid move of the clock: advance: invalid type: integer `3`"),
        (r#"{"advence": "3h"}"#, "unknown field `advence`"),
        ("", "Invalid move of the clock: EOF"),
    ] {
        endpoint.admin("POST", "clock", body).await.fails(400, INVALID, says);
    }
    endpoint.admin("POST", "clock", r#"{"set": "2013-03-21T17:03:43.221Z"}"#).await.expect(200);
    assert_eq!(api.get("/-/vaults/v").await.expect(200).json()["NumberOfArchives"], 1);

    let Endpoint { directory, clock, server, .. } = endpoint;
    let now = clock.now();
    drop(server);
    let earlier = Clock::virtual_at(now - DAY);
    let server = Server::start(config(directory.path()), earlier.clone()).await.expect("starts");
    assert_eq!(earlier.now(), now);
    assert_eq!(Api::new(&server).describe_job("v", &job).await["Completed"], true);
}

/// Promise: a real clock is shown as such, and isn't moved.
#[tokio::test]
async fn the_real_clock_stays() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut config = config(directory.path());
    config.admin = true;
    let server = Server::start(config, Clock::real()).await.expect("starts");
    let call = |method: &str, body: &str| {
        let token = format!("Bearer {}", server.admin_token().expect("a token"));
        let api = Api::new(&server);
        let (method, body) = (method.to_owned(), body.to_owned());
        async move {
            api.call(&method, "/_glacierfs/clock").unsigned().header("authorization", &token).body(body).send().await
        }
    };
    assert_eq!(call("GET", "").await.expect(200).json()["mode"], "real");
    call("POST", r#"{"advance": "3h"}"#).await.fails(400, INVALID, "The clock is the real one, which can't be moved");
    assert!(!directory.path().join("clock").exists());
}

/// Promise: an inventory on demand knows all that was written before, is of now, and leaves the next one to the next
/// write.
#[tokio::test]
async fn inventories_on_demand() {
    let endpoint = Endpoint::with(|config| config.admin = true).await;
    let api = &endpoint.api;
    api.create_vault("v").await;
    let take = async || endpoint.admin("POST", "inventory", r#"{"vault": "v"}"#).await.expect(200).json();
    let first = take().await;
    assert_eq!((&first["NumberOfArchives"], &first["LastInventoryDate"]), (&0.into(), &first["CreationDate"]));
    let archive = api.upload("v", b"bytes", "").await;
    api.upload("v", b"more", "").await;
    assert_eq!(api.get("/-/vaults/v").await.expect(200).json()["NumberOfArchives"], 0);
    endpoint.advance(HOUR);
    let taken = take().await;
    assert_eq!((&taken["NumberOfArchives"], &taken["SizeInBytes"]), (&2.into(), &(2 * 32768 + 9).into()));
    assert_eq!(taken["LastInventoryDate"], "2013-03-20T18:03:43.221Z");
    assert_eq!(api.get("/-/vaults/v").await.expect(200).json(), taken);

    // It is in the document, and what follows isn't.
    api.delete_archive("v", &archive).await.expect(204);
    let listed = async |count: usize| {
        let job = api.job("v", json!({"Type": "inventory-retrieval"})).await;
        endpoint.advance(4 * HOUR);
        let document = api.output("v", &job, None).await.expect(200).json();
        assert_eq!(document["ArchiveList"].as_array().map(Vec::len), Some(count));
    };
    listed(2).await;
    take().await;
    listed(1).await;
    // One that is due already is taken before.
    api.upload("v", b"third", "").await;
    endpoint.advance(DAY + Duration::from_secs(1));
    let due = api.get("/-/vaults/v").await.expect(200).json();
    assert_eq!((&due["NumberOfArchives"], &take().await["NumberOfArchives"]), (&2.into(), &2.into()));
    assert!(
        api.get("/-/vaults/v").await.expect(200).json()["LastInventoryDate"].as_str()
            > due["LastInventoryDate"].as_str()
    );
    listed(2).await;

    let other = endpoint.admin("POST", "inventory", r#"{"vault": "w"}"#).await;
    other.fails(
        404,
        "ResourceNotFoundException",
        "Vault not found for ARN: arn:aws:glacier:us-east-1:000000000000:vaults/w",
    );
    endpoint.admin("POST", "inventory", "{}").await.fails(400, INVALID, "missing field `vault`");
}

/// A `glacierfs serve` with `arguments`, and what it prints first.
fn serve(data: &std::path::Path, arguments: &[&str]) -> (Child, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_glacierfs"));
    command.args(["serve", "--listen", "127.0.0.1:0", "--log", "off", "--data"]).arg(data).args(arguments);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("glacierfs runs");
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("its output")).read_line(&mut line).expect("readable");
    (child, line.trim().to_owned())
}

/// Promise: what is for testing needs `--admin`; and a virtual clock of the program goes on from where it was, after
/// `kill -9` as well.
#[tokio::test]
async fn the_program() {
    let directory = tempfile::tempdir().expect("a directory");
    let (data, plan) = (directory.path().join("data"), directory.path().join("plan.json"));
    std::fs::write(&plan, r#"{"rules":[{"operation":"Nothing","fault":{"lose_response":{}}}]}"#).expect("written");
    let plan = plan.to_str().expect("text");
    for (arguments, says) in [
        (&["--clock", "virtual"][..], "--clock virtual is for testing, and needs --admin"),
        (&["--faults", plan], "--faults is for testing, and needs --admin"),
        (&["--admin", "--faults", plan], "is wrong: rules[0].operation: \"Nothing\" is no operation"),
        (&["--admin", "--clock", "virtual@noon"], "\"noon\" is not a time"),
        (
            &["--admin", "--clock", "virtual@9999-01-01T00:00:00Z"],
            "allowed are times from 1970-01-01T00:00:00Z to 9000",
        ),
        (&["--clock", "sundial"], "allowed are real, virtual and virtual@TIME"),
    ] {
        let (child, line) = serve(&data, arguments);
        let ended = child.wait_with_output().expect("ends");
        let said = String::from_utf8_lossy(&ended.stderr);
        assert!(line.is_empty() && ended.status.code() == Some(2) && said.contains(says), "{said}");
    }
    assert!(!data.exists());

    let mut shown = json!("2031-05-06T07:08:09.000Z");
    for clock in ["virtual@2031-05-06T07:08:09Z", "virtual", "virtual@2030-01-01T00:00:00Z"] {
        let (mut child, url) = serve(&data, &["--admin", "--clock", clock]);
        let token = std::fs::read_to_string(data.join("admin-token")).expect("the token");
        let call = async |method: &str, body: &str| {
            let http = reqwest::Client::builder().no_proxy().build().expect("a client");
            let request = http.request(method.parse().expect("a method"), format!("{url}/_glacierfs/clock"));
            let answer = request.bearer_auth(token.trim()).body(body.to_owned()).send().await.expect("an answer");
            serde_json::from_slice::<serde_json::Value>(&answer.bytes().await.expect("a body")).expect("JSON")
        };
        assert_eq!(call("GET", "").await, json!({"mode": "virtual", "now": shown}));
        shown = call("POST", r#"{"advance": "100days"}"#).await["now"].clone();
        // SIGKILL.
        child.kill().expect("killed");
        child.wait().expect("ended");
    }
    assert_eq!(shown, "2032-03-01T07:08:09.000Z");
}
