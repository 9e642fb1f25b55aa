//! What a caller may do besides what the kernel checks itself: its groups and capabilities, as `/proc` tells them.
//!
//! Only where the kernel leaves a decision to a file system, which is seldom: a look into `/proc` takes some microseconds.

use fuser::Request;

/// Numbers of capabilities (linux/capability.h).
const CAP_FSETID: u32 = 4;
const CAP_SYS_ADMIN: u32 = 21;

/// Whether a file of group `gid` keeps set-group-ID when its access control list is set by who asks.
pub(super) fn keeps_set_group_id(req: &Request, gid: u32) -> bool {
    req.gid() == gid || is_in_group(&status(req), gid) || has(req, CAP_FSETID)
}

/// Whether who asks may know of `trusted.` attributes.
pub(super) fn sees_trusted(req: &Request) -> bool {
    has(req, CAP_SYS_ADMIN)
}

/// Only root's count: anybody may have those of a user name space of his own.
fn has(req: &Request, capability: u32) -> bool {
    req.uid() == 0 && is_capable(&status(req), capability)
}

/// Empty for a caller that `/proc` doesn't show.
fn status(req: &Request) -> String {
    std::fs::read_to_string(format!("/proc/{}/status", req.pid())).unwrap_or_default()
}

fn field<'a>(status: &'a str, name: &str) -> Option<&'a str> {
    status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
}

fn is_in_group(status: &str, gid: u32) -> bool {
    let groups = field(status, "Groups").unwrap_or_default();
    groups.split_whitespace().any(|group| group.parse() == Ok(gid))
}

/// Whether root has a capability, which it has unless it was taken away.
fn is_capable(status: &str, capability: u32) -> bool {
    let effective = field(status, "CapEff").and_then(|hex| u64::from_str_radix(hex, 16).ok());
    effective.is_none_or(|bits| bits & (1 << capability) != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Promise: groups and capabilities are read as the kernel writes them.
    #[test]
    fn status_is_understood() {
        let status = "Name:\tsh\nGroups:\t4 24 1000 \nCapEff:\t0000000000200000\n";
        assert!(is_in_group(status, 24) && !is_in_group(status, 2));
        assert!(is_capable(status, CAP_SYS_ADMIN) && !is_capable(status, CAP_FSETID));
        assert!(!is_in_group("", 0) && is_capable("", CAP_FSETID));
    }
}
