//! Extended attributes as the kernel asks for them: flags, the sizes of buffers, and names that not everybody sees.

use fuser::Errno;
use fuser::ReplyXattr;

use super::convert::errno_of_inode;
use crate::catalog::XattrMode;
use crate::fs::Result;

/// What setxattr(2) is asked to do about an attribute that exists, or doesn't; none when both flags ask for what can't be.
pub(super) fn mode(flags: i32) -> Option<XattrMode> {
    match (flags & libc::XATTR_CREATE != 0, flags & libc::XATTR_REPLACE != 0) {
        (false, false) => Some(XattrMode::Set),
        (true, false) => Some(XattrMode::Create),
        (false, true) => Some(XattrMode::Replace),
        (true, true) => None,
    }
}

/// The names in `list` that a caller may see: those of `trusted.` are for who `sees_trusted`.
pub(super) fn shown(list: Vec<u8>, sees_trusted: impl Fn() -> bool) -> Vec<u8> {
    let is_trusted = |name: &[u8]| name.starts_with(b"trusted.");
    let names = || list.split_inclusive(|byte| *byte == 0);
    if !names().any(is_trusted) || sees_trusted() {
        return list;
    }
    names().filter(|name| !is_trusted(name)).flatten().copied().collect()
}

/// Answers with a value or a list of names, as far as it fits into the `size` bytes that the caller has; with its length alone when
/// that is 0.
pub(super) fn answer(result: Result<Vec<u8>>, size: u32, reply: ReplyXattr) {
    match result {
        // At most 64 KiB.
        Ok(value) if size == 0 => reply.size(value.len() as u32),
        Ok(value) if value.len() > size as usize => reply.error(Errno::ERANGE),
        Ok(value) => reply.data(&value),
        Err(error) => reply.error(errno_of_inode(&error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Promise: names of `trusted.` are left out for who mayn't see them, and nobody is asked when there are none.
    #[test]
    fn names_that_are_shown() {
        let list = b"security.s\0trusted.t\0user.trusted.u\0".to_vec();
        assert_eq!(shown(list.clone(), || true), list);
        assert_eq!(shown(list, || false), b"security.s\0user.trusted.u\0");
        let plain = b"user.a\0".to_vec();
        assert_eq!(shown(plain.clone(), || unreachable!("nothing to hide")), plain);
        assert_eq!(shown(Vec::new(), || unreachable!("nothing to hide")), b"");
    }
}
