//! How much may be retrieved: the data retrieval policy, expedited retrievals, and provisioned capacity.

use std::time::Duration;

use glacierfs::glacier::wire::{DataRetrievalRule, Strategy};
use serde_json::{Value, json};

use crate::client::{Api, DAY, Endpoint, HOUR, MIB, Response, pattern};

const INVALID: &str = "InvalidParameterValueException";
const MINUTE: Duration = Duration::from_secs(60);

async fn retrieve(api: &Api, archive: &str, tier: &str, range: Option<&str>) -> Response {
    let mut body = json!({"Type": "archive-retrieval", "ArchiveId": archive, "Tier": tier});
    if let Some(range) = range {
        body["RetrievalByteRange"] = range.into();
    }
    api.send("POST", "/-/vaults/v/jobs", body).await
}

#[track_caller]
fn enforced(response: Response) {
    response.fails(400, "PolicyEnforcedException", "InitiateJob request denied by current data retrieval policy.");
}

/// Promise: the policy is what was set last, `None` at first; one that makes no sense is refused.
#[tokio::test]
async fn retrieval_policy() {
    let endpoint = Endpoint::start().await;
    let (api, client) = (&endpoint.api, endpoint.client());
    let path = "/-/policies/data-retrieval";
    let rule = |strategy, bytes_per_hour| DataRetrievalRule { strategy: Some(strategy), bytes_per_hour };
    assert_eq!(client.get_retrieval_policy().await.expect("got"), rule(Strategy::None, None));
    for rule in [
        rule(Strategy::BytesPerHour, Some(i64::MAX)),
        rule(Strategy::BytesPerHour, Some(1)),
        rule(Strategy::FreeTier, None),
        rule(Strategy::None, None),
    ] {
        client.set_retrieval_policy(&rule).await.expect("set");
        assert_eq!(client.get_retrieval_policy().await.expect("got"), rule);
    }
    let raw = api.get(path).await.expect(200);
    assert_eq!(String::from_utf8_lossy(&raw.body), r#"{"Policy":{"Rules":[{"Strategy":"None"}]}}"#);

    let set = async |rules: Value| api.send("PUT", path, json!({"Policy": {"Rules": rules}})).await;
    set(json!([])).await.fails(400, INVALID, "there are 0. Allowed is exactly one.");
    set(json!([{"Strategy": "None"}, {"Strategy": "None"}])).await.fails(400, INVALID, "there are 2.");
    set(json!([{"Strategy": "Some"}])).await.fails(
        400,
        INVALID,
        "Invalid Strategy: Some. Allowed are BytesPerHour, FreeTier, None.",
    );
    set(json!([{"Strategy": "FreeTier", "BytesPerHour": 1}])).await.fails(400, INVALID, "Invalid BytesPerHour: 1.");
    set(json!([{"Strategy": "BytesPerHour", "BytesPerHour": 0}])).await.fails(400, INVALID, "Invalid BytesPerHour: 0.");
    let missing = "MissingParameterValueException";
    set(json!([{"Strategy": "BytesPerHour"}])).await.fails(400, missing, "Required parameter missing: BytesPerHour");
    set(json!([{}])).await.fails(400, missing, "Required parameter missing: Strategy");
    api.send("PUT", path, json!({})).await.fails(400, missing, "Required parameter missing: Policy");
}

/// Promise: BytesPerHour counts Standard archive jobs that run, by their ranges, spread over four hours; other tiers and
/// inventories pass; a refused job leaves no trace.
#[tokio::test]
async fn bytes_per_hour() {
    let endpoint = Endpoint::start().await;
    let (api, client) = (&endpoint.api, endpoint.client());
    api.create_vault("v").await;
    let id = api.upload("v", &pattern(2 * MIB), "").await;
    endpoint.advance(DAY);
    let limit = |bytes| DataRetrievalRule { strategy: Some(Strategy::BytesPerHour), bytes_per_hour: Some(bytes) };
    let all = MIB as i64 / 2;
    client.set_retrieval_policy(&limit(all - 1)).await.expect("set");
    enforced(retrieve(api, &id, "Standard", None).await);
    for tier in ["Expedited", "Bulk"] {
        retrieve(api, &id, tier, None).await.expect(202);
    }
    api.job("v", json!({"Type": "inventory-retrieval"})).await;
    retrieve(api, &id, "Standard", Some("0-1048575")).await.expect(202);
    enforced(retrieve(api, &id, "Standard", Some("0-1048575")).await);
    client.set_retrieval_policy(&limit(all)).await.expect("set");
    retrieve(api, &id, "Standard", Some("1048576-2097151")).await.expect(202);
    enforced(retrieve(api, &id, "Standard", None).await);
    assert_eq!(api.get("/-/vaults/v/jobs").await.expect(200).json()["JobList"].as_array().map(Vec::len), Some(5));
    endpoint.advance(4 * HOUR);
    retrieve(api, &id, "Standard", None).await.expect(202);
    client
        .set_retrieval_policy(&DataRetrievalRule { strategy: Some(Strategy::None), bytes_per_hour: None })
        .await
        .expect("set");
    retrieve(api, &id, "Standard", None).await.expect(202);
}

/// Promise: FreeTier allows a thirtieth of 10 GiB a day, whether the jobs still run or not, and again the next day.
#[tokio::test]
async fn free_tier() {
    let endpoint = Endpoint::start().await;
    let (api, client) = (&endpoint.api, endpoint.client());
    api.create_vault("v").await;
    let id = api.upload("v", &pattern(64 * MIB), "").await;
    client
        .set_retrieval_policy(&DataRetrievalRule { strategy: Some(Strategy::FreeTier), bytes_per_hour: None })
        .await
        .expect("set");
    for _ in 0..5 {
        retrieve(api, &id, "Standard", None).await.expect(202);
        endpoint.advance(HOUR);
    }
    // 21 MiB and a bit are left, at 22 o'clock.
    enforced(retrieve(api, &id, "Standard", Some("0-23068671")).await);
    retrieve(api, &id, "Standard", Some("0-22020095")).await.expect(202);
    enforced(retrieve(api, &id, "Standard", Some("0-1048575")).await);
    retrieve(api, &id, "Bulk", None).await.expect(202);
    endpoint.advance(2 * HOUR);
    retrieve(api, &id, "Standard", None).await.expect(202);
}

/// Promise: two units can be had for a month each; they are listed while they last.
#[tokio::test]
async fn capacity() {
    let endpoint = Endpoint::start().await;
    let (api, client) = (&endpoint.api, endpoint.client());
    assert_eq!(api.get("/-/provisioned-capacity").await.expect(200).body, br#"{"ProvisionedCapacityList":[]}"#);
    let bought = api.call("POST", "/-/provisioned-capacity").send().await.expect(201);
    let first = bought.header("x-amz-capacity-id");
    assert_eq!((first.len(), bought.header("content-length").as_str()), (24, "0"));
    endpoint.advance(DAY);
    let second = client.purchase_capacity().await.expect("bought");
    api.call("POST", "/-/provisioned-capacity").send().await.fails(400, "LimitExceededException", "limit of 2 units");
    let listed = api.get("/-/provisioned-capacity").await.expect(200).json();
    let unit = |id: &str, start: &str, end: &str| json!({"CapacityId": id, "StartDate": start, "ExpirationDate": end});
    let expected = [
        unit(&first, "2013-03-20T17:03:43.221Z", "2013-04-20T17:03:43.000Z"),
        unit(&second, "2013-03-21T17:03:43.221Z", "2013-04-21T17:03:43.000Z"),
    ];
    assert_eq!(listed, json!({"ProvisionedCapacityList": expected}));
    endpoint.advance(30 * DAY);
    let left: Vec<_> = client.list_capacity().await.expect("listed").into_iter().map(|unit| unit.capacity_id).collect();
    assert_eq!(left, [second]);
    client.purchase_capacity().await.expect("bought");
}

/// Promise: with a limit, only so many expedited jobs in five minutes are accepted, three more with each unit of capacity;
/// the others are refused in a way that clients repeat, and leave no trace. Without one, all are accepted.
#[tokio::test]
async fn expedited() {
    let endpoint = Endpoint::with(|config| config.expedited_limit = Some(1)).await;
    let (api, client) = (&endpoint.api, endpoint.client());
    api.create_vault("v").await;
    let id = api.upload("v", b"data", "").await;
    let full = async |limit: usize| {
        let says = format!("allowed are {limit} in 5 minutes");
        retrieve(api, &id, "Expedited", None).await.fails(503, "InsufficientCapacityException", &says);
    };
    retrieve(api, &id, "Expedited", None).await.expect(202);
    full(1).await;
    retrieve(api, &id, "Standard", None).await.expect(202);
    endpoint.advance(5 * MINUTE - Duration::from_millis(1));
    full(1).await;
    endpoint.advance(Duration::from_millis(1));
    client.purchase_capacity().await.expect("bought");
    for _ in 0..4 {
        retrieve(api, &id, "Expedited", None).await.expect(202);
    }
    full(4).await;
    client.purchase_capacity().await.expect("bought");
    for _ in 0..3 {
        retrieve(api, &id, "Expedited", None).await.expect(202);
    }
    full(7).await;
    let jobs = api.get("/-/vaults/v/jobs").await.expect(200).json();
    assert_eq!(jobs["JobList"].as_array().map(Vec::len), Some(9));
    endpoint.advance(31 * DAY);
    retrieve(api, &id, "Expedited", None).await.expect(202);
    full(1).await;

    let Endpoint { api, .. } = &Endpoint::start().await;
    api.create_vault("v").await;
    let id = api.upload("v", b"data", "").await;
    for _ in 0..20 {
        retrieve(api, &id, "Expedited", None).await.expect(202);
    }
}
