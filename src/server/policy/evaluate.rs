//! What a policy says of a request: a statement that denies outweighs all that allow.

use super::condition::Facts;
use super::{Caller, Policy, Principal, Statement, glob};

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Request<'r> {
    /// Whose key signed.
    pub caller: &'r Caller,
    /// The operation's name.
    pub action: &'r str,
    /// The vault's ARN.
    pub resource: &'r str,
    /// What conditions are about.
    pub facts: Facts<'r>,
}

/// What a policy says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Denied,
    Allowed,
    /// Nothing.
    Silent,
}

impl Policy {
    /// What the policy says of `request`.
    pub fn verdict(&self, request: &Request<'_>) -> Verdict {
        let mut verdict = Verdict::Silent;
        for statement in self.statements.iter().filter(|statement| statement.applies(request)) {
            if !statement.allows {
                return Verdict::Denied;
            }
            verdict = Verdict::Allowed;
        }
        verdict
    }

    /// Whether the policy allows `caller` anything at all.
    pub fn invites(&self, caller: &Caller) -> bool {
        self.statements.iter().any(|statement| statement.allows && statement.is_about(caller))
    }

    /// Which statement, counted from 0, names no resource that the vault `arn` could be.
    pub fn statement_beside(&self, arn: &str) -> Option<usize> {
        let beside = |statement: &Statement| {
            let resources = &statement.resources;
            !resources.negated && !resources.items.iter().any(|pattern| glob::matches(pattern, arn))
        };
        self.statements.iter().position(beside)
    }
}

impl Statement {
    fn applies(&self, request: &Request<'_>) -> bool {
        let action = format!("glacier:{}", request.action).to_ascii_lowercase();
        self.is_about(request.caller)
            && self.actions.covers(|pattern| glob::matches(pattern, &action))
            && self.resources.covers(|pattern| glob::matches(pattern, request.resource))
            && self.conditions.iter().all(|condition| condition.holds(&request.facts))
    }

    fn is_about(&self, caller: &Caller) -> bool {
        self.principals.covers(|principal| match principal {
            Principal::Everyone => true,
            Principal::Account(account) => **account == *caller.account,
            Principal::User(account, user) => **account == *caller.account && caller.user.as_deref() == Some(user),
            Principal::Role => false,
        })
    }
}
