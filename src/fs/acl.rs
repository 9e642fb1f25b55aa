//! POSIX access control lists (acl(5)), as the extended attributes that programs and the kernel exchange.
//!
//! Who may do what the kernel decides, which asks for these attributes. Ours is what the list and the mode have to do with
//! each other: they are two views of the same permissions, and a new file inherits from its directory's default list.

use nix::errno::Errno;

use super::Fs;
use super::Result;
use crate::catalog::Ino;
use crate::catalog::Kind;
use crate::catalog::ROOT;
use crate::catalog::now;

/// The attribute that says who may access what it is set on.
pub(super) const ACCESS: &[u8] = b"system.posix_acl_access";
/// The attribute of a directory that new entries begin with.
pub(super) const DEFAULT: &[u8] = b"system.posix_acl_default";

/// The attribute's only version (POSIX_ACL_XATTR_VERSION, linux/posix_acl_xattr.h).
const VERSION: u32 = 2;
/// Bytes of an entry: tag and permissions of 16 bits, an ID of 32, all little-endian.
const ENTRY: usize = 8;
/// The ID of an entry that is for nobody in particular.
const NO_ID: u32 = u32::MAX;

/// Whose permissions an entry gives, by its number in the attribute (linux/posix_acl.h), in the order in which the kind
/// of entries stand in a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Tag {
    Owner = 0x01,
    User = 0x02,
    OwningGroup = 0x04,
    Group = 0x08,
    Mask = 0x10,
    Other = 0x20,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    tag: Tag,
    /// Three bits.
    permissions: u32,
    id: u32,
}

/// An access control list that is well-formed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Acl(Vec<Entry>);

impl Acl {
    /// Reads the value of an attribute; none for a list without entries, which stands for no list.
    ///
    /// # Errors
    /// EINVAL for what the kernel wouldn't take for a list either; EOPNOTSUPP for another version.
    pub(super) fn parse(value: &[u8]) -> Result<Option<Acl>> {
        let (version, entries) = value.split_first_chunk().ok_or(Errno::EINVAL)?;
        if u32::from_le_bytes(*version) != VERSION {
            return Err(Errno::EOPNOTSUPP.into());
        }
        let (entries, rest) = entries.as_chunks::<ENTRY>();
        if !rest.is_empty() {
            return Err(Errno::EINVAL.into());
        }
        let acl = Acl(entries.iter().map(entry).collect::<Result<_>>()?);
        match acl.0.is_empty() {
            true => Ok(None),
            false if acl.is_valid() => Ok(Some(acl)),
            false => Err(Errno::EINVAL.into()),
        }
    }

    /// Owner, owning group and others once each, a mask if anybody is named, and all in their order.
    fn is_valid(&self) -> bool {
        let count = |tag| self.0.iter().filter(|entry| entry.tag == tag).count();
        let named = count(Tag::User) + count(Tag::Group) > 0;
        [Tag::Owner, Tag::OwningGroup, Tag::Other].iter().all(|tag| count(*tag) == 1)
            && count(Tag::Mask) <= 1
            && (count(Tag::Mask) == 1 || !named)
            && self.0.is_sorted_by_key(|entry| entry.tag)
    }

    /// The value of the attribute.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut value = VERSION.to_le_bytes().to_vec();
        for entry in &self.0 {
            // Both have 16 bits at most.
            value.extend((entry.tag as u16).to_le_bytes());
            value.extend((entry.permissions as u16).to_le_bytes());
            value.extend(entry.id.to_le_bytes());
        }
        value
    }

    /// Whether it says no more than a mode can.
    fn is_trivial(&self) -> bool {
        self.0.len() == 3
    }

    /// The permission bits of the mode that goes with it.
    fn mode(&self) -> u32 {
        let of = |tag| self.0.iter().find(|entry| entry.tag == tag).map(|entry| entry.permissions);
        let group = of(Tag::Mask).or(of(Tag::OwningGroup));
        of(Tag::Owner).unwrap_or(0) << 6 | group.unwrap_or(0) << 3 | of(Tag::Other).unwrap_or(0)
    }

    /// Makes it go with `mode`: a mode's group bits are the mask, where there is one.
    fn chmod(&mut self, mode: u32) {
        self.each_class(mode, |_, bits| bits);
    }

    /// Takes from it, a directory's default list, what `mode`, which a new file is made with, doesn't give.
    fn limit(&mut self, mode: u32) {
        self.each_class(mode, |permissions, bits| permissions & bits);
    }

    fn each_class(&mut self, mode: u32, change: impl Fn(u32, u32) -> u32) {
        let masked = self.0.iter().any(|entry| entry.tag == Tag::Mask);
        for entry in &mut self.0 {
            let shift = match entry.tag {
                Tag::Owner => 6,
                Tag::Mask => 3,
                Tag::OwningGroup if !masked => 3,
                Tag::Other => 0,
                _ => continue,
            };
            entry.permissions = change(entry.permissions, mode >> shift & 7);
        }
    }
}

fn entry(bytes: &[u8; ENTRY]) -> Result<Entry> {
    let [t0, t1, p0, p1, id @ ..] = *bytes;
    let tag = match u16::from_le_bytes([t0, t1]) {
        0x01 => Tag::Owner,
        0x02 => Tag::User,
        0x04 => Tag::OwningGroup,
        0x08 => Tag::Group,
        0x10 => Tag::Mask,
        0x20 => Tag::Other,
        _ => return Err(Errno::EINVAL.into()),
    };
    let permissions = u32::from(u16::from_le_bytes([p0, p1]));
    let id = match tag {
        Tag::User | Tag::Group => u32::from_le_bytes(id),
        _ => NO_ID,
    };
    if permissions > 7 || (matches!(tag, Tag::User | Tag::Group) && id == NO_ID) {
        return Err(Errno::EINVAL.into());
    }
    Ok(Entry { tag, permissions, id })
}

/// What a new inode begins with.
pub(super) struct Inherited {
    /// Its type and permission bits.
    pub(super) mode: u32,
    /// Its attributes.
    pub(super) xattrs: Vec<(&'static [u8], Vec<u8>)>,
}

impl Fs {
    /// The mode that `mode` and `umask` make in directory `parent`: one with a default list ignores the umask (acl(5)).
    pub fn masked(&self, parent: Ino, mode: u32, umask: u32) -> Result<u32> {
        Ok(if self.acl(parent, DEFAULT)?.is_some() { mode } else { mode & !(umask & 0o777) })
    }

    /// What an inode begins with that is made in `parent` with `mode`.
    pub(super) fn inherit(&self, parent: Ino, mode: u32) -> Result<Inherited> {
        let kind = Kind::of(mode);
        let default = if kind == Some(Kind::Symlink) { None } else { self.acl(parent, DEFAULT)? };
        let Some(default) = default else { return Ok(Inherited { mode, xattrs: Vec::new() }) };
        let mut xattrs = Vec::new();
        let mut access = default.clone();
        access.limit(mode);
        if !access.is_trivial() {
            xattrs.push((ACCESS, access.to_bytes()));
        }
        if kind == Some(Kind::Directory) {
            xattrs.push((DEFAULT, default.to_bytes()));
        }
        Ok(Inherited { mode: mode & !0o777 | access.mode(), xattrs })
    }

    /// What the access list of `ino` becomes with `mode`; none if it has none.
    pub(super) fn acl_for_mode(&self, ino: Ino, mode: u32) -> Result<Option<Vec<u8>>> {
        Ok(self.acl(ino, ACCESS)?.map(|mut acl| {
            acl.chmod(mode);
            acl.to_bytes()
        }))
    }

    /// Sets the access control list that attribute `name` holds, or removes it. An access list becomes the mode's bits,
    /// and is kept besides only if it says more than they can. A file of a group for which `is_member` says no loses
    /// set-group-ID with it, as by chmod(2).
    ///
    /// # Errors
    /// EINVAL for what isn't a list; EACCES for a default list of anything but a directory; EPERM for one of the root, where
    /// only vaults are made.
    pub fn set_acl(&self, ino: Ino, name: &[u8], value: &[u8], is_member: &dyn Fn(u32) -> bool) -> Result<()> {
        let Some(acl) = Acl::parse(value)? else { return self.remove_acl(ino, name) };
        let inode = self.catalog.inode(ino)?;
        if inode.kind() == Kind::Symlink {
            return Err(Errno::EOPNOTSUPP.into());
        }
        let mut mode = None;
        if name == ACCESS {
            let mut bits = inode.mode & 0o7000 | acl.mode();
            if bits & libc::S_ISGID != 0 && !is_member(inode.gid) {
                bits &= !libc::S_ISGID;
            }
            mode = Some(bits);
        } else if !inode.is_dir() {
            return Err(Errno::EACCES.into());
        } else if ino == ROOT {
            return Err(Errno::EPERM.into());
        }
        let kept = (name == DEFAULT || !acl.is_trivial()).then(|| acl.to_bytes());
        if kept.is_some() {
            self.has_xattrs(ino);
        }
        self.catalog.set_acl(ino, name, kept.as_deref(), mode, now())?;
        if mode.is_some() {
            self.not_plain(ino);
        }
        Ok(())
    }

    /// Removes an access control list; that there is none is no error. The mode stays.
    pub(super) fn remove_acl(&self, ino: Ino, name: &[u8]) -> Result<()> {
        match self.acl(ino, name)? {
            None => Ok(()),
            Some(_) => Ok(self.catalog.set_acl(ino, name, None, None, now())?),
        }
    }

    /// The list that attribute `name` of `ino` holds.
    fn acl(&self, ino: Ino, name: &[u8]) -> Result<Option<Acl>> {
        if !self.may_have_xattrs(ino) {
            return Ok(None);
        }
        match self.catalog.xattr(ino, name)? {
            None => Ok(None),
            Some(value) => Acl::parse(&value),
        }
    }
}

/// Whether `name` is the attribute of an access control list.
pub fn is_acl(name: &[u8]) -> bool {
    name == ACCESS || name == DEFAULT
}

#[cfg(test)]
mod tests {
    use super::*;

    const USER_OBJ: u16 = 0x01;
    const USER: u16 = 0x02;
    const GROUP_OBJ: u16 = 0x04;
    const GROUP: u16 = 0x08;
    const MASK: u16 = 0x10;
    const OTHER: u16 = 0x20;

    fn value(entries: &[(u16, u16, u32)]) -> Vec<u8> {
        let mut value = vec![2, 0, 0, 0];
        for (tag, permissions, id) in entries {
            value.extend(tag.to_le_bytes());
            value.extend(permissions.to_le_bytes());
            value.extend(id.to_le_bytes());
        }
        value
    }

    const FULL: [(u16, u16, u32); 6] = [
        (USER_OBJ, 7, NO_ID),
        (USER, 6, 2),
        (GROUP_OBJ, 5, NO_ID),
        (GROUP, 4, 12),
        (MASK, 7, NO_ID),
        (OTHER, 1, NO_ID),
    ];

    fn parsed(entries: &[(u16, u16, u32)]) -> Acl {
        Acl::parse(&value(entries)).expect("well-formed").expect("not empty")
    }

    /// Promise: a list is the same after reading and writing it, and IDs that mean nothing are as the kernel writes them.
    #[test]
    fn there_and_back() {
        assert_eq!(parsed(&FULL).to_bytes(), value(&FULL));
        let odd = value(&[(USER_OBJ, 6, 0), (GROUP_OBJ, 4, 7), (OTHER, 0, 0)]);
        let plain = value(&[(USER_OBJ, 6, NO_ID), (GROUP_OBJ, 4, NO_ID), (OTHER, 0, NO_ID)]);
        assert_eq!(Acl::parse(&odd).expect("well-formed").expect("not empty").to_bytes(), plain);
        assert_eq!(Acl::parse(&[2, 0, 0, 0]).expect("no entries"), None);
    }

    /// Promise: what isn't a list is refused, whatever it is.
    #[test]
    fn malformed_lists_are_refused() {
        let refused = |value: &[u8]| Acl::parse(value).expect_err("refused").errno();
        assert_eq!(refused(&[]), Errno::EINVAL);
        assert_eq!(refused(&[2, 0, 0]), Errno::EINVAL);
        assert_eq!(refused(&[1, 0, 0, 0]), Errno::EOPNOTSUPP);
        for cut in 5..value(&FULL).len() {
            assert_eq!(refused(&value(&FULL)[..cut]), Errno::EINVAL, "{cut}");
        }
        for left_out in [0, 2, 4, 5] {
            let mut entries = FULL.to_vec();
            entries.remove(left_out);
            assert_eq!(refused(&value(&entries)), Errno::EINVAL, "without entry {left_out}");
        }
        for (at, wrong) in [
            (0, (USER_OBJ, 8, NO_ID)),
            (1, (USER, 6, NO_ID)),
            (1, (OTHER, 6, NO_ID)),
            (3, (0x40, 4, 12)),
            (3, (USER, 4, 12)),
            (4, (GROUP, 4, 13)),
        ] {
            let mut entries = FULL;
            entries[at] = wrong;
            assert_eq!(refused(&value(&entries)), Errno::EINVAL, "{wrong:?} at {at}");
        }
    }

    /// Promise: a mode's group bits are the mask where there is one, else the owning group's, both ways.
    #[test]
    fn modes() {
        let mut masked = parsed(&FULL);
        assert_eq!(masked.mode(), 0o771);
        masked.chmod(0o640);
        let entries: Vec<u32> = masked.0.iter().map(|entry| entry.permissions).collect();
        assert_eq!(entries, [6, 6, 5, 4, 4, 0]);
        let mut plain = parsed(&[(USER_OBJ, 6, NO_ID), (GROUP_OBJ, 4, NO_ID), (OTHER, 0, NO_ID)]);
        assert!(plain.is_trivial());
        assert_eq!(plain.mode(), 0o640);
        plain.limit(0o577);
        assert_eq!(plain.mode(), 0o440);
    }
}
