//! What is set on the account: its limit on retrievals, and provisioned capacity.

use serde_json::json;

use crate::setup::Endpoint;

/// Promise: the limit on retrievals is shown and set in all its forms, and a bad one is refused with what is allowed.
#[test]
fn retrieval_policy() {
    let endpoint = Endpoint::start();
    let get = ["policy", "retrieval", "get"];
    for (limit, text, json) in [
        (
            "10G",
            "limited to 10.0 GiB (10737418240 bytes) an hour",
            json!({"BytesPerHour": 10_737_418_240_u64, "Strategy": "BytesPerHour"}),
        ),
        ("free-tier", "limited to what is free", json!({"Strategy": "FreeTier"})),
        ("none", "aren't limited", json!({"Strategy": "None"})),
    ] {
        assert_eq!(endpoint.ok(&["policy", "retrieval", "set", limit]), "Set.\n");
        let said = endpoint.ok(&get);
        assert!(said.contains(text), "{said}");
        assert_eq!(endpoint.json(&[&get[..], &["--json"]].concat()), json);
    }
    endpoint.refused(&["policy", "retrieval", "set", "0"], 2, "allowed is none, free-tier, or bytes an hour");
}

/// Promise: capacity is listed for people and programs, and bought only with --yes, each time once.
#[test]
fn capacity() {
    let endpoint = Endpoint::start();
    assert_eq!(endpoint.ok(&["capacity", "list"]), "There is no provisioned capacity.\n");
    endpoint.asks(&["capacity", "purchase"], "it costs money, and can't be given back");
    assert_eq!(endpoint.json(&["capacity", "list", "--json"]), json!([]));
    let unit = endpoint.ok(&["capacity", "purchase", "--yes"]);
    assert_eq!(endpoint.json(&["capacity", "list", "--json"])[0]["CapacityId"], unit.trim());
    let list = endpoint.ok(&["capacity", "list"]);
    assert!(list.starts_with("BOUGHT") && list.trim_end().ends_with(unit.trim()), "{list}");
    endpoint.ok(&["capacity", "purchase", "--yes"]);
    endpoint.refused(&["capacity", "purchase", "--yes"], 7, "LimitExceededException");
}
