//! What a vault's lock forbids: how long archives are kept from being deleted.
//!
//! A lock is a policy that nobody can take away. The one that the documentation shows denies `glacier:DeleteArchive` while
//! `glacier:ArchiveAgeInDays` is below a number (G14, "Vault Lock Policies"); that one is understood, and what else denies deleting is
//! told as something that isn't. Other policies may deny deleting too: only the service knows.

use serde_json::Value;

/// What a vault's lock says of deleting archives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Retention {
    /// Nothing.
    Free,
    /// An archive can't be deleted before it is this many days old.
    Days(u64),
    /// It forbids deleting, for a time that can't be told, for this reason.
    Unknown(String),
}

/// What the policy of a vault lock says; `policy` is its JSON.
pub(super) fn of_policy(policy: &str) -> Retention {
    let Ok(policy) = serde_json::from_str::<Value>(policy) else {
        return Retention::Unknown("the policy of the vault's lock can't be read".to_owned());
    };
    let mut retention = Retention::Free;
    for statement in list(&policy["Statement"]) {
        retention = match (retention, of_statement(statement)) {
            (Retention::Days(a), Retention::Days(b)) => Retention::Days(a.max(b)),
            (Retention::Free, other) | (other @ Retention::Unknown(_), _) | (other, Retention::Free) => other,
            (_, unknown) => unknown,
        };
    }
    retention
}

fn of_statement(statement: &Value) -> Retention {
    if statement["Effect"] != "Deny" || !denies_deleting(statement) {
        return Retention::Free;
    }
    let unknown = |what: &str| Retention::Unknown(format!("the vault's lock forbids deleting archives{what}"));
    let conditions = statement["Condition"].as_object().into_iter().flatten();
    let conditions: Vec<(&str, &str, &Value)> = conditions
        .filter_map(|(operator, keys)| Some((operator.as_str(), keys.as_object()?)))
        .flat_map(|(operator, keys)| keys.iter().map(move |(key, value)| (operator, key.as_str(), value)))
        .collect();
    match conditions[..] {
        [] => unknown(""),
        [(operator, key, value)] if key.eq_ignore_ascii_case("glacier:ArchiveAgeInDays") => {
            // Of several values one that holds is enough.
            let days = list(value).map(days).collect::<Option<Vec<u64>>>().and_then(|days| days.into_iter().max());
            match (operator.strip_suffix("IfExists").unwrap_or(operator), days) {
                ("NumericLessThan", Some(days)) => Retention::Days(days),
                ("NumericLessThanEquals", Some(days)) => Retention::Days(days.saturating_add(1)),
                _ => unknown(" by their age"),
            }
        }
        _ => unknown(" under conditions"),
    }
}

fn denies_deleting(statement: &Value) -> bool {
    let is_it = |action: &Value| {
        let pattern = action.as_str().unwrap_or_default().to_ascii_lowercase();
        matches(pattern.as_bytes(), b"glacier:deletearchive")
    };
    match (&statement["Action"], &statement["NotAction"]) {
        (Value::Null, Value::Null) => false,
        (Value::Null, but) => !list(but).any(is_it),
        (actions, _) => list(actions).any(is_it),
    }
}

/// Whether `pattern`, in which `*` stands for any characters and `?` for one, is `text`.
fn matches(pattern: &[u8], text: &[u8]) -> bool {
    match (pattern, text) {
        ([], []) => true,
        ([b'*', rest @ ..], _) => (0..=text.len()).any(|skipped| matches(rest, &text[skipped..])),
        ([b'?', rest @ ..], [_, text @ ..]) => matches(rest, text),
        ([a, rest @ ..], [b, text @ ..]) => a == b && matches(rest, text),
        _ => false,
    }
}

/// The members of a list, or the one that stands for a list of one.
fn list(value: &Value) -> impl Iterator<Item = &Value> {
    match value {
        Value::Array(members) => members.iter(),
        one => std::slice::from_ref(one).iter(),
    }
}

fn days(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(statements: Value) -> Retention {
        of_policy(&json!({"Version": "2012-10-17", "Statement": statements}).to_string())
    }

    /// Promise: what a lock says of an archive's age is told in days, whatever the spelling, and what forbids deleting otherwise
    /// isn't taken for freedom.
    #[test]
    fn policies() {
        let deny =
            |action: Value, condition: Value| json!({"Effect": "Deny", "Action": action, "Condition": condition});
        let age = |operator: &str, days: Value| json!({operator: {"glacier:ArchiveAgeInDays": days}});
        let less = |days: u64| age("NumericLessThan", json!(days.to_string()));
        for (statements, expected) in [
            (json!([]), Retention::Free),
            (deny("glacier:DeleteArchive".into(), less(365)), Retention::Days(365)),
            (json!([deny(json!(["glacier:Delete*"]), less(10)), deny("*".into(), less(20))]), Retention::Days(20)),
            (deny("GLACIER:deletearchiv?".into(), age("NumericLessThanEquals", json!([1, 4]))), Retention::Days(5)),
            (json!({"Effect": "Deny", "NotAction": "glacier:DeleteArchive"}), Retention::Free),
            (deny("glacier:UploadArchive".into(), less(10)), Retention::Free),
            (json!({"Effect": "Allow", "Action": "glacier:*"}), Retention::Free),
        ] {
            assert_eq!(of(statements.clone()), expected, "{statements}");
        }
        let hold = json!({"StringLike": {"glacier:ResourceTag/Hold": "true"}});
        let both =
            json!({"NumericLessThan": {"glacier:ArchiveAgeInDays": "9"}, "StringLike": {"glacier:ResourceTag/x": ""}});
        for statements in [
            deny("glacier:DeleteArchive".into(), Value::Null),
            deny("glacier:DeleteArchive".into(), hold.clone()),
            deny("glacier:DeleteArchive".into(), both),
            deny("glacier:DeleteArchive".into(), age("NumericGreaterThan", json!(9))),
            json!([deny("glacier:*".into(), less(9)), deny("glacier:*".into(), hold)]),
            json!({"Effect": "Deny", "NotAction": "glacier:UploadArchive"}),
        ] {
            assert!(matches!(of(statements.clone()), Retention::Unknown(_)), "{statements}");
        }
        assert!(matches!(of_policy("{"), Retention::Unknown(_)));
    }
}
