//! From the text of a policy to what it says. Whatever isn't understood is refused, with the place of it.

use std::collections::BTreeSet;

use super::condition::Condition;
use super::json::Json;
use super::{Listed, Policy, Principal, Statement, glob};
use crate::server::routes::VAULT_ACTIONS;

/// The longest policy, in bytes (1.9: 20 KB).
pub const MAX_LEN: usize = 20 << 10;

const VERSIONS: [&str; 2] = ["2012-10-17", "2008-10-17"];

impl Policy {
    /// Reads a policy on a vault. The error says what is wrong, and where.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.len() > MAX_LEN {
            return Err(format!("It has {} bytes: allowed are at most {MAX_LEN}.", text.len()));
        }
        let document = serde_json::from_str(text).map_err(|error| format!("It is not good JSON: {error}."))?;
        Self::read(document).map_err(|Wrong { place, what }| match place.as_str() {
            "" => format!("In the policy, {what}."),
            place => format!("In {place}, {what}."),
        })
    }

    fn read(document: Json) -> Result<Self, Wrong> {
        let mut statements = None;
        for (name, value) in object(document)? {
            match (name.as_str(), value) {
                ("Version", Json::Text(version)) if VERSIONS.contains(&version.as_str()) => {}
                ("Version", _) => return Err(wrong(format!("allowed is {}", VERSIONS.join(" or "))).in_("Version")),
                ("Id", value) => drop(string(value).map_err(|e| e.in_("Id"))?),
                ("Statement", value) => statements = Some(read_statements(value)?),
                _ => return Err(unknown(&name, "Version, Id and Statement")),
            }
        }
        Ok(Policy { statements: statements.ok_or_else(|| wrong("Statement is missing"))? })
    }
}

/// What is wrong in a policy, and where.
struct Wrong {
    place: String,
    what: String,
}

impl Wrong {
    /// The same, seen from the value around `place`.
    fn in_(self, place: impl Into<String>) -> Self {
        let outer = place.into();
        let place = if self.place.is_empty() { outer } else { format!("{outer}.{}", self.place) };
        Wrong { place, what: self.what }
    }
}

fn wrong(what: impl Into<String>) -> Wrong {
    Wrong { place: String::new(), what: what.into() }
}

fn unknown(name: &str, allowed: &str) -> Wrong {
    wrong(format!("{name:?} is not known: allowed are {allowed}"))
}

fn read_statements(value: Json) -> Result<Vec<Statement>, Wrong> {
    let list = match value {
        Json::List(list) if list.is_empty() => return Err(wrong("there is no statement").in_("Statement")),
        Json::List(list) => list,
        one => return Ok(vec![read_statement(one, &mut BTreeSet::new()).map_err(|e| e.in_("Statement"))?]),
    };
    let mut sids = BTreeSet::new();
    let read = |(i, value)| read_statement(value, &mut sids).map_err(|e| e.in_(format!("Statement[{i}]")));
    list.into_iter().enumerate().map(read).collect()
}

fn read_statement(value: Json, sids: &mut BTreeSet<String>) -> Result<Statement, Wrong> {
    const KNOWN: &str = "Sid, Effect, Principal, NotPrincipal, Action, NotAction, Resource, NotResource and Condition";
    let (mut allows, mut conditions) = (None, Vec::new());
    let (mut principals, mut actions, mut resources) = (None, None, None);
    for (name, value) in object(value)? {
        let negated = name.starts_with("Not");
        let read = match name.as_str() {
            "Sid" => string(value).and_then(|sid| match sids.replace(sid) {
                Some(sid) => Err(wrong(format!("another statement has the Sid {sid:?} too"))),
                None => Ok(()),
            }),
            "Effect" => effect(value).map(|effect| allows = Some(effect)),
            "Principal" | "NotPrincipal" => once(&mut principals, negated, read_principals(value)),
            "Action" | "NotAction" => once(&mut actions, negated, strings(value).and_then(read_actions)),
            "Resource" | "NotResource" => once(&mut resources, negated, strings(value).and_then(read_resources)),
            "Condition" => read_conditions(value).map(|read| conditions = read),
            _ => return Err(unknown(&name, KNOWN)),
        };
        read.map_err(|error| error.in_(name))?;
    }
    let missing = |name: &str| wrong(format!("{name} is missing"));
    Ok(Statement {
        allows: allows.ok_or_else(|| missing("Effect"))?,
        principals: principals.ok_or_else(|| missing("Principal"))?,
        actions: actions.ok_or_else(|| missing("Action"))?,
        resources: resources.ok_or_else(|| missing("Resource"))?,
        conditions,
    })
}

/// Fills in what may be given as itself or as `Not…`, but not as both.
fn once<T>(slot: &mut Option<Listed<T>>, negated: bool, items: Result<Vec<T>, Wrong>) -> Result<(), Wrong> {
    match slot.replace(Listed { negated, items: items? }) {
        None => Ok(()),
        Some(_) => Err(wrong("it is given besides its opposite: allowed is one of them")),
    }
}

fn effect(value: Json) -> Result<bool, Wrong> {
    match &value {
        Json::Text(text) if text == "Allow" => Ok(true),
        Json::Text(text) if text == "Deny" => Ok(false),
        _ => Err(wrong("allowed are Allow and Deny")),
    }
}

fn read_principals(value: Json) -> Result<Vec<Principal>, Wrong> {
    if value == Json::Text("*".to_owned()) {
        return Ok(vec![Principal::Everyone]);
    }
    let Json::Object(members) = value else { return Err(wrong("allowed are \"*\" and {\"AWS\": …}")) };
    let mut principals = Vec::new();
    for (name, value) in members {
        if name != "AWS" {
            return Err(unknown(&name, "AWS"));
        }
        for text in strings(value)? {
            principals.push(principal(&text)?);
        }
    }
    if principals.is_empty() {
        return Err(wrong("it names nobody"));
    }
    Ok(principals)
}

fn principal(text: &str) -> Result<Principal, Wrong> {
    const ALLOWED: &str = "allowed are *, an account of 12 digits, and ARNs such as arn:aws:iam::123456789012:root, \
                           :user/NAME or :role/NAME";
    if text == "*" {
        return Ok(Principal::Everyone);
    }
    let parts: Vec<&str> = text.splitn(6, ':').collect();
    match &parts[..] {
        [account] if is_account(account) => Ok(Principal::Account((*account).to_owned())),
        ["arn", partition, "iam", "", account, "root"] if partition.starts_with("aws") && is_account(account) => {
            Ok(Principal::Account((*account).to_owned()))
        }
        ["arn", partition, "iam", "", account, name]
            if partition.starts_with("aws") && is_account(account) && !name.contains(['*', '?']) =>
        {
            match name.split_once('/') {
                Some(("user", name)) if !name.is_empty() => Ok(Principal::User((*account).to_owned(), name.to_owned())),
                Some(("role", name)) if !name.is_empty() => Ok(Principal::Role),
                _ => Err(wrong(format!("{text:?} is no principal: {ALLOWED}"))),
            }
        }
        _ => Err(wrong(format!("{text:?} is no principal: {ALLOWED}"))),
    }
}

/// Whether `text` can be an account: 12 digits.
pub fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit())
}

fn read_actions(patterns: Vec<String>) -> Result<Vec<String>, Wrong> {
    let check = |pattern: String| {
        let lower = pattern.to_ascii_lowercase();
        let is_of_glacier = lower == "*" || lower.starts_with("glacier:");
        let known = |name: &&'static str| glob::matches(&lower, &format!("glacier:{}", name.to_ascii_lowercase()));
        if is_of_glacier && VAULT_ACTIONS.iter().any(known) {
            return Ok(lower);
        }
        Err(wrong(format!(
            "{pattern:?} is no action on a vault: allowed are glacier: and the name of an operation on vaults that \
             exist or their archives, with * and ?, such as glacier:DeleteArchive"
        )))
    };
    patterns.into_iter().map(check).collect()
}

fn read_resources(patterns: Vec<String>) -> Result<Vec<String>, Wrong> {
    let check = |pattern: String| {
        if pattern.contains("${") {
            return Err(wrong(format!("variables such as in {pattern:?} are not supported")));
        }
        if pattern == "*" || pattern.starts_with("arn:") {
            return Ok(pattern);
        }
        Err(wrong(format!("{pattern:?} is no resource: allowed are * and the ARN of a vault, with * and ?")))
    };
    patterns.into_iter().map(check).collect()
}

fn read_conditions(value: Json) -> Result<Vec<Condition>, Wrong> {
    let mut conditions = Vec::new();
    for (operator, keys) in object(value)? {
        for (key, values) in object(keys).map_err(|e| e.in_(&operator))? {
            let condition = Condition::parse(&operator, &key, &values);
            conditions.push(condition.map_err(|what| wrong(what).in_(format!("{operator}.{key}")))?);
        }
    }
    Ok(conditions)
}

fn object(value: Json) -> Result<Vec<(String, Json)>, Wrong> {
    match value {
        Json::Object(members) => Ok(members),
        other => Err(wrong(format!("{} is not allowed here: allowed is an object", other.kind()))),
    }
}

fn string(value: Json) -> Result<String, Wrong> {
    match value {
        Json::Text(text) => Ok(text),
        other => Err(wrong(format!("{} is not allowed here: allowed is a string", other.kind()))),
    }
}

/// A string, or a list of at least one.
fn strings(value: Json) -> Result<Vec<String>, Wrong> {
    match value {
        Json::List(list) if list.is_empty() => Err(wrong("the list is empty")),
        Json::List(list) => list.into_iter().map(string).collect(),
        one => Ok(vec![string(one)?]),
    }
}
