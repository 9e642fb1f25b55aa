//! What can go wrong with a request, as the endpoint's fault plans have it.

use serde_json::Value;
use serde_json::json;

/// A delay beyond what impatient clients bear.
const TOO_LONG: &str = "1500ms";

/// Every kind of fault, with a name for messages.
pub fn kinds() -> Vec<(&'static str, Value)> {
    let error = |status: u16| json!({"error": {"status": status}});
    let code = |code: &str| json!({"error": {"code": code}});
    vec![
        ("standstill", json!({"delay": TOO_LONG})),
        ("throttling", code("ThrottlingException")),
        ("too slow", code("RequestTimeoutException")),
        ("no capacity", code("InsufficientCapacityException")),
        ("unavailable", code("ServiceUnavailableException")),
        ("408", error(408)),
        ("429", error(429)),
        ("500", error(500)),
        ("502", error(502)),
        ("503", error(503)),
        ("504", error(504)),
        ("delay", json!({"delay": "20ms"})),
        ("reset request", json!({"reset_request": {}})),
        ("reset answer", json!({"reset_response": {}})),
        ("cut answer", json!({"truncate": {}})),
        ("short answer", json!({"truncate": {"fix_length": true}})),
        ("wrong byte", json!({"corrupt": {}})),
        ("slow drip", json!({"drip": {"bytes_per_second": 4_000_000}})),
        ("lost answer", json!({"lose_response": {}})),
    ]
}
