//! Policies on vaults: the part of the IAM policy language that access policies and vault locks use.
//!
//! A policy is read when it is set, and refused with a reason if there is anything in it that wouldn't be obeyed: nothing
//! is ignored. What is read is pure data, and evaluating it a pure function of a [`Request`].

mod condition;
mod evaluate;
mod glob;
mod json;
mod parse;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use condition::Condition;
pub(super) use condition::Facts;
pub(super) use evaluate::{Request, Verdict};
pub(super) use parse::is_account;

/// Who asks: whose key signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Caller {
    /// The account, 12 digits.
    pub account: Arc<str>,
    /// The IAM user of it, with its path; `None` for the account itself.
    pub user: Option<Arc<str>>,
}

/// A policy.
#[derive(Clone, Debug)]
pub(super) struct Policy {
    statements: Vec<Statement>,
}

/// One rule of a policy: whom it allows or denies to do what, and when.
#[derive(Clone, Debug)]
struct Statement {
    allows: bool,
    principals: Listed<Principal>,
    /// Patterns of `glacier:` actions, in lower case.
    actions: Listed<String>,
    /// Patterns of ARNs.
    resources: Listed<String>,
    /// All of them have to hold.
    conditions: Vec<Condition>,
}

/// What a statement is about: that which is listed, or (`Not…`) everything else.
#[derive(Clone, Debug)]
struct Listed<T> {
    negated: bool,
    items: Vec<T>,
}

impl<T> Listed<T> {
    /// Whether the statement is about what `matches` recognises.
    fn covers(&self, matches: impl FnMut(&T) -> bool) -> bool {
        self.items.iter().any(matches) != self.negated
    }
}

/// Who is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Principal {
    Everyone,
    /// Whoever has a key of this account.
    Account(String),
    /// A user of an account, by its name with its path.
    User(String, String),
    /// A role of an account. Nobody takes one on here, so it is none of the callers.
    Role,
}
