//! What a program gets that wants bytes which aren't local.

use std::fmt;
use std::str::FromStr;

/// A recall policy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum RecallPolicy {
    /// A recall is started, and the program waits for it.
    #[default]
    Wait,
    /// A recall is started, and the program gets EAGAIN.
    Queue,
    /// Nothing is started, and the program gets EREMOTE.
    Deny,
}

impl RecallPolicy {
    /// Its name in settings.
    pub fn as_str(self) -> &'static str {
        match self {
            RecallPolicy::Wait => "wait",
            RecallPolicy::Queue => "queue",
            RecallPolicy::Deny => "deny",
        }
    }

    /// The policy for a program that has said that it doesn't want to wait (O_NONBLOCK).
    #[must_use]
    pub fn without_waiting(self) -> Self {
        match self {
            RecallPolicy::Wait | RecallPolicy::Queue => RecallPolicy::Queue,
            RecallPolicy::Deny => RecallPolicy::Deny,
        }
    }
}

impl fmt::Display for RecallPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for RecallPolicy {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let all = [RecallPolicy::Wait, RecallPolicy::Queue, RecallPolicy::Deny];
        let found = all.into_iter().find(|policy| policy.as_str() == text);
        found.ok_or_else(|| format!("{text:?} is not a recall policy: allowed is wait, queue or deny"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Promise: each policy is read by its name, another word is refused with what is allowed, and not wanting to wait never
    /// starts a recall that is denied.
    #[test]
    fn names() {
        for policy in [RecallPolicy::Wait, RecallPolicy::Queue, RecallPolicy::Deny] {
            assert_eq!(policy.to_string().parse(), Ok(policy));
        }
        assert!("later".parse::<RecallPolicy>().expect_err("no policy").contains("allowed is wait, queue or deny"));
        assert_eq!(RecallPolicy::Wait.without_waiting(), RecallPolicy::Queue);
        assert_eq!(RecallPolicy::Deny.without_waiting(), RecallPolicy::Deny);
    }
}
