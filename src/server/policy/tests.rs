//! Policies read and evaluated together.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::condition::Facts;
use super::parse::MAX_LEN;
use super::{Caller, Policy, Request, Verdict};

const ARN: &str = "arn:aws:glacier:us-east-1:111111111111:vaults/photos";

/// A policy of one statement: that of the guide's retention lock, with the members of `change` in the place of its own
/// (null: without).
fn one(change: Value) -> Value {
    let mut statement = json!({
        "Sid": "retention", "Effect": "Deny", "Principal": "*", "Action": "glacier:DeleteArchive", "Resource": ARN,
        "Condition": {"NumericLessThan": {"glacier:ArchiveAgeInDays": "365"}}
    });
    for (name, value) in change.as_object().expect("an object") {
        statement[name] = value.clone();
    }
    statement.as_object_mut().expect("an object").retain(|_, value| !value.is_null());
    json!({"Version": "2012-10-17", "Statement": [statement]})
}

#[track_caller]
fn policy(value: &Value) -> Policy {
    Policy::parse(&value.to_string()).unwrap_or_else(|error| panic!("{value}: {error}"))
}

/// An account, or `ACCOUNT/USER`.
fn caller(text: &str) -> Caller {
    let (account, user) = text.split_once('/').map_or((text, None), |(account, user)| (account, Some(user)));
    Caller { account: account.into(), user: user.map(Into::into) }
}

fn ask(policy: &Policy, who: &str, action: &str, archive_age_days: Option<i64>) -> Verdict {
    let caller = &caller(who);
    let facts = Facts { archive_age_days, tags: &BTreeMap::new() };
    policy.verdict(&Request { caller, action, resource: ARN, facts })
}

/// Promise: the guide's retention lock denies what is younger than a year to everyone, and says nothing else.
#[test]
fn retention() {
    let lock = policy(&one(json!({})));
    assert_eq!(ask(&lock, "111111111111", "DeleteArchive", Some(364)), Verdict::Denied);
    assert_eq!(ask(&lock, "222222222222", "DeleteArchive", Some(0)), Verdict::Denied);
    assert_eq!(ask(&lock, "111111111111", "DeleteArchive", Some(365)), Verdict::Silent);
    assert_eq!(ask(&lock, "111111111111", "DeleteArchive", None), Verdict::Silent);
    assert_eq!(ask(&lock, "111111111111", "DeleteVault", Some(0)), Verdict::Silent);
}

/// Promise: principals, actions and resources are matched as IAM does, negated ones the other way round.
#[test]
fn who_and_what() {
    let denied = |change: Value, caller: &str, action: &str| {
        let mut change = change;
        change["Condition"] = Value::Null;
        ask(&policy(&one(change)), caller, action, None) == Verdict::Denied
    };
    let (owner, other, delete) = ("111111111111", "222222222222", "DeleteArchive");
    for principal in [
        json!({"AWS": "*"}),
        json!({"AWS": [owner]}),
        json!({"AWS": format!("arn:aws:iam::{owner}:root")}),
        json!({"AWS": ["333333333333", format!("arn:aws-cn:iam::{owner}:root")]}),
    ] {
        assert!(denied(json!({"Principal": principal}), owner, delete), "{principal}");
    }
    assert!(!denied(json!({"Principal": {"AWS": [owner]}}), other, delete));
    let user = json!({"Principal": {"AWS": format!("arn:aws:iam::{owner}:user/a/b")}});
    assert!(denied(user.clone(), &format!("{owner}/a/b"), delete));
    for else_ in [owner.to_owned(), format!("{owner}/b"), format!("{owner}/a/B"), format!("{other}/a/b")] {
        assert!(!denied(user.clone(), &else_, delete), "{else_}");
    }
    assert!(denied(json!({"Principal": {"AWS": owner}}), &format!("{owner}/a/b"), delete));
    let role = json!({"Principal": {"AWS": format!("arn:aws:iam::{owner}:role/a")}});
    assert!(!denied(role, &format!("{owner}/a"), delete));
    let all_but = json!({"Principal": null, "NotPrincipal": {"AWS": owner}});
    assert!(!denied(all_but.clone(), owner, delete) && denied(all_but, other, delete));

    for action in
        [json!("*"), json!("glacier:*"), json!("GLACIER:deletearchive"), json!(["glacier:ListJobs", "glacier:D*?e"])]
    {
        assert!(denied(json!({"Action": action}), owner, delete), "{action}");
    }
    let all_but = json!({"Action": null, "NotAction": ["glacier:Delete*"]});
    assert!(!denied(all_but.clone(), owner, delete) && denied(all_but, owner, "UploadArchive"));

    for resource in [json!("*"), json!("arn:aws:glacier:*:111111111111:vaults/ph?tos"), json!(["arn:x", ARN])] {
        assert!(denied(json!({"Resource": resource}), owner, delete), "{resource}");
    }
    for resource in ["arn:aws:glacier:us-east-1:111111111111:vaults/Photos", "arn:aws:glacier:eu-west-1:*"] {
        assert!(!denied(json!({"Resource": resource}), owner, delete), "{resource}");
        assert_eq!(policy(&one(json!({"Resource": resource}))).statement_beside(ARN), Some(0));
        assert!(denied(json!({"Resource": null, "NotResource": resource}), owner, delete), "{resource}");
    }
    assert_eq!(policy(&one(json!({"Resource": "arn:aws:glacier:*"}))).statement_beside(ARN), None);
}

/// Promise: who is invited is who some statement allows something; a statement alone needn't be in a list.
#[test]
fn invitations() {
    let policy = policy(&json!({"Statement": {
        "Effect": "Allow", "Principal": {"AWS": "222222222222"}, "Action": "glacier:ListJobs", "Resource": "*"
    }}));
    assert!(policy.invites(&caller("222222222222")) && !policy.invites(&caller("111111111111")));
    assert_eq!(ask(&policy, "222222222222", "ListJobs", None), Verdict::Allowed);
    assert_eq!(ask(&policy, "222222222222", "DescribeJob", None), Verdict::Silent);
}

/// Promise: what isn't understood is refused with its place, and what would be allowed there.
#[test]
fn refused() {
    for (change, says) in [
        (json!({"Effect": "deny"}), "In Statement[0].Effect, allowed are Allow and Deny."),
        (json!({"Effect": null}), "In Statement[0], Effect is missing."),
        (json!({"Principal": null}), "In Statement[0], Principal is missing."),
        (json!({"Action": null}), "In Statement[0], Action is missing."),
        (json!({"Resource": null}), "In Statement[0], Resource is missing."),
        (json!({"Effects": "Deny"}), "In Statement[0], \"Effects\" is not known: allowed are Sid, Effect"),
        (json!({"Principal": "111111111111"}), "In Statement[0].Principal, allowed are \"*\""),
        (json!({"Principal": {"Service": "x"}}), "In Statement[0].Principal, \"Service\" is not known"),
        (json!({"Principal": {}}), "it names nobody"),
        (json!({"Principal": {"AWS": "arn:aws:iam::1:root"}}), "\"arn:aws:iam::1:root\" is no principal: allowed"),
        (json!({"Principal": {"AWS": "arn:aws:iam::111111111111:user/*"}}), "is no principal"),
        (json!({"NotPrincipal": "*"}), "it is given besides its opposite"),
        (json!({"NotAction": "glacier:ListJobs"}), "it is given besides its opposite"),
        (json!({"Action": "s3:GetObject"}), "In Statement[0].Action, \"s3:GetObject\" is no action on a vault"),
        (json!({"Action": "glacier:DeleteArchives"}), "\"glacier:DeleteArchives\" is no action on a vault"),
        (json!({"Action": "glacier:CreateVault"}), "\"glacier:CreateVault\" is no action on a vault"),
        (json!({"Action": []}), "In Statement[0].Action, the list is empty."),
        (json!({"Action": 1}), "In Statement[0].Action, a number is not allowed here: allowed is a string."),
        (json!({"Resource": "photos"}), "In Statement[0].Resource, \"photos\" is no resource"),
        (json!({"Resource": "arn:aws:glacier:${x}"}), "variables such as in"),
        (json!({"Condition": {"NumericLess": {}}}), ""),
        (
            json!({"Condition": {"X": {"glacier:ArchiveAgeInDays": 1}}}),
            "In Statement[0].Condition.X.glacier:ArchiveAgeInDays, \"X\" is no operator",
        ),
        (json!({"Condition": []}), "In Statement[0].Condition, a list is not allowed here: allowed is an object."),
        (json!({"Sid": 7}), "In Statement[0].Sid, a number is not allowed here"),
    ] {
        let value = one(change);
        match Policy::parse(&value.to_string()) {
            Ok(policy) => assert!(says.is_empty(), "{value} is read as {policy:?}"),
            Err(error) => assert!(error.contains(says), "{error:?} should contain {says:?}"),
        }
    }
    for (text, says) in [
        ("", "It is not good JSON: "),
        ("[]", "In the policy, a list is not allowed here: allowed is an object."),
        ("{}", "In the policy, Statement is missing."),
        (r#"{"Statement":[]}"#, "In Statement, there is no statement."),
        (r#"{"Statement":{}}"#, "In Statement, Effect is missing."),
        (r#"{"Version":"2012-10-18","Statement":{}}"#, "In Version, allowed is 2012-10-17 or 2008-10-17."),
        (r#"{"Id":1}"#, "In Id, a number"),
        (r#"{"Statement":{"Effect":"Deny","Effect":"Allow"}}"#, "\"Effect\" is given twice"),
        (r#"{"statement":{}}"#, "\"statement\" is not known: allowed are Version, Id and Statement."),
    ] {
        let error = Policy::parse(text).expect_err(text);
        assert!(error.contains(says), "{error:?} should contain {says:?}");
    }
    let mut twins = one(json!({}));
    twins["Statement"] = json!([twins["Statement"][0], twins["Statement"][0]]);
    let error = Policy::parse(&twins.to_string()).expect_err("two of a name");
    assert_eq!(error, "In Statement[1].Sid, another statement has the Sid \"retention\" too.");
    assert!(Policy::parse(&"[".repeat(MAX_LEN)).is_err());
    let long = format!("{}{}", one(json!({})), " ".repeat(MAX_LEN));
    assert!(Policy::parse(&long).expect_err("too long").contains("allowed are at most 20480"));
}

/// Statements over few accounts, actions and conditions, so that they often meet.
fn statement() -> impl Strategy<Value = Value> {
    let principal = prop_oneof![
        Just(json!("*")),
        Just(json!({"AWS": "111111111111"})),
        Just(json!({"AWS": ["arn:aws:iam::222222222222:root"]}))
    ];
    let action = prop_oneof![Just("glacier:*"), Just("glacier:Delete*"), Just("glacier:ListJobs")];
    let condition = prop_oneof![
        Just(json!({})),
        (0..4).prop_map(|n| json!({"NumericLessThan": {"glacier:ArchiveAgeInDays": n}})),
        (0..4).prop_map(|n| json!({"NumericNotEquals": {"glacier:ArchiveAgeInDays": n}})),
    ];
    (any::<bool>(), principal, action, condition).prop_map(|(allow, principal, action, condition)| {
        let effect = if allow { "Allow" } else { "Deny" };
        json!({"Effect": effect, "Principal": principal, "Action": action, "Resource": "*", "Condition": condition})
    })
}

/// Any JSON out of the words that policies are made of.
fn junk() -> impl Strategy<Value = Value> {
    let words = [
        "Statement",
        "Effect",
        "Deny",
        "Principal",
        "*",
        "AWS",
        "Action",
        "glacier:*",
        "Resource",
        "Condition",
        "Bool",
        "NumericLessThan",
        "glacier:ArchiveAgeInDays",
        "Version",
        "2012-10-17",
        "",
        "1e9",
        "-",
    ];
    let word = proptest::sample::select(words.to_vec());
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        word.clone().prop_map(Value::from)
    ];
    leaf.prop_recursive(5, 40, 5, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::hash_map(word.clone().prop_map(str::to_owned), inner, 0..5)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    /// Promise: whatever the text, reading it ends with a policy or a reason, never with a panic.
    #[test]
    fn reading_never_panics(text in ".{0,200}", junk in junk(), member in junk(), cut in 0..400usize) {
        let whole = one(json!({"Condition": member})).to_string();
        let cut: String = whole.chars().take(cut).collect();
        for text in [text, junk.to_string(), whole, cut] {
            if let Err(reason) = Policy::parse(&text) {
                prop_assert!(reason.ends_with('.'));
            }
        }
    }

    /// Promise: a policy denies exactly when one of its statements alone would; otherwise it allows exactly when one
    /// alone would. The order of statements doesn't matter.
    #[test]
    fn denying_outweighs_allowing(
        statements in proptest::collection::vec(statement(), 1..6),
        caller in prop_oneof![Just("111111111111"), Just("222222222222"), Just("333333333333")],
        action in prop_oneof![Just("DeleteArchive"), Just("ListJobs")],
        age in proptest::option::of(0..4i64),
    ) {
        let verdict = |statements: &[Value]| ask(&policy(&json!({"Statement": statements})), caller, action, age);
        let alone: Vec<_> = statements.iter().map(|one| verdict(std::slice::from_ref(one))).collect();
        let expected = [Verdict::Denied, Verdict::Allowed, Verdict::Silent].into_iter().find(|v| alone.contains(v));
        prop_assert_eq!(Some(verdict(&statements)), expected);
        let reversed: Vec<_> = statements.iter().rev().cloned().collect();
        prop_assert_eq!(Some(verdict(&reversed)), expected);
    }
}
