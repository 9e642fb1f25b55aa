//! Extended attributes: the program's own, and under `user.glacierfs.` what a file can tell of itself, and the rules that hold for
//! it and for what is below it.
//!
//! What is under `user.glacierfs.` isn't listed, so that `rsync -X` and `cp -a` don't copy it, and only the rules can be set.

use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt;
use std::sync::PoisonError;

use nix::errno::Errno;

use super::Fs;
use super::Result;
use super::acl::is_acl;
use crate::catalog::ContentId;
use crate::catalog::Ino;
use crate::catalog::Kind;
use crate::catalog::ROOT;
use crate::catalog::Rule;
use crate::catalog::Rules;
use crate::catalog::State;
use crate::catalog::XattrMode;
use crate::catalog::now;

/// What the names of our own attributes begin with.
const OURS: &[u8] = b"user.glacierfs.";
/// What a program may do besides what its user may (capabilities(7), "File capabilities").
pub(super) const CAPABILITY: &[u8] = b"security.capability";
/// Longest value in bytes (XATTR_SIZE_MAX, linux/limits.h).
const VALUE_MAX: usize = 65536;

impl Fs {
    /// The value of attribute `name`; of a rule the one that holds, be it set here or above.
    ///
    /// # Errors
    /// ENODATA when it isn't set; EOPNOTSUPP for a name space that isn't kept.
    pub fn getxattr(&self, ino: Ino, name: &[u8]) -> Result<Vec<u8>> {
        if let Some(rule) = Rule::of(name) {
            return self.rules(ino)?.get(rule).map(String::into_bytes).ok_or_else(|| Errno::ENODATA.into());
        }
        if let Some(ours) = name.strip_prefix(OURS) {
            return self.own_xattr(ino, ours)?.ok_or_else(|| Errno::ENODATA.into());
        }
        check_space(name)?;
        if !self.may_have_xattrs(ino) {
            return Err(Errno::ENODATA.into());
        }
        self.catalog.xattr(ino, name)?.ok_or_else(|| Errno::ENODATA.into())
    }

    /// The rules that hold for `ino`: its own, and those of the nearest directories above that say more.
    pub fn rules(&self, ino: Ino) -> Result<Rules> {
        Ok(self.catalog.rules(ino)?)
    }

    /// The rules that hold for the file that has content `id`.
    pub fn rules_of(&self, id: ContentId) -> Result<Rules> {
        match self.catalog.content(id) {
            Ok(content) => self.rules(content.ino),
            // It has other bytes by now, which is found out elsewhere.
            Err(crate::catalog::Error::NotFound) => Ok(Rules::default()),
            Err(error) => Err(error.into()),
        }
    }

    /// The names of the attributes, each with a NUL behind it, without ours.
    pub fn listxattr(&self, ino: Ino) -> Result<Vec<u8>> {
        if !self.may_have_xattrs(ino) {
            return Ok(Vec::new());
        }
        let mut list = Vec::new();
        for name in self.catalog.xattrs(ino)?.into_iter().filter(|name| !name.starts_with(OURS)) {
            list.extend(name);
            list.push(0);
        }
        Ok(list)
    }

    /// Sets attribute `name`.
    ///
    /// # Errors
    /// EINVAL for a rule's value that isn't allowed; EPERM for what else is ours.
    pub fn setxattr(&self, ino: Ino, name: &[u8], value: &[u8], mode: XattrMode) -> Result<()> {
        if let Some(rule) = Rule::of(name) {
            return self.set_rule(ino, rule, value, mode);
        }
        check_ours(name)?;
        check_space(name)?;
        if value.len() > VALUE_MAX {
            return Err(Errno::E2BIG.into());
        }
        if is_acl(name) {
            return self.set_acl(ino, name, value, &|_| true);
        }
        self.has_xattrs(ino);
        self.catalog.set_xattr(ino, name, value, mode, now())?;
        if name == CAPABILITY {
            self.not_plain(ino);
        }
        Ok(())
    }

    fn set_rule(&self, ino: Ino, rule: Rule, value: &[u8], mode: XattrMode) -> Result<()> {
        let value = rule.canonical(&String::from_utf8_lossy(value)).map_err(|error| {
            let path = self.catalog.path(ino).ok().flatten().unwrap_or_default();
            log::warn!("/{}: {rule} isn't set: {error}", String::from_utf8_lossy(&path));
            Errno::EINVAL
        })?;
        self.catalog.set_xattr(ino, rule.name().as_bytes(), value.as_bytes(), mode, now())?;
        self.rule_changed(rule);
        Ok(())
    }

    fn rule_changed(&self, rule: Rule) {
        if rule == Rule::Pin {
            self.cache.reconsider_all();
        }
    }

    /// Pins `ino` and all that is below it, or takes that away, whatever was set below.
    ///
    /// # Errors
    /// EPERM for what is glacierfs's own.
    pub fn pin(&self, ino: Ino, pin: bool) -> Result<()> {
        self.catalog.pin(ino, pin)?;
        self.rule_changed(Rule::Pin);
        Ok(())
    }

    /// Removes attribute `name`; of a rule what is set here, so that what is above holds.
    pub fn removexattr(&self, ino: Ino, name: &[u8]) -> Result<()> {
        if let Some(rule) = Rule::of(name) {
            self.catalog.remove_xattr(ino, name, now())?;
            self.rule_changed(rule);
            return Ok(());
        }
        check_ours(name)?;
        check_space(name)?;
        if is_acl(name) {
            return self.remove_acl(ino, name);
        }
        Ok(self.catalog.remove_xattr(ino, name, now())?)
    }

    /// What a writer of `ino` knows of the rights that a write takes away holds no more.
    pub(super) fn not_plain(&self, ino: Ino) {
        if let Some(open) = self.open.of(ino) {
            open.lock().plain = false;
        }
    }

    /// `ino` has got attributes otherwise than through here.
    pub fn learn_xattrs(&self, ino: Ino) {
        self.has_xattrs(ino);
        self.not_plain(ino);
    }

    pub(super) fn may_have_xattrs(&self, ino: Ino) -> bool {
        self.with_xattrs.lock().unwrap_or_else(PoisonError::into_inner).contains(&ino)
    }

    /// Notes that `ino` has attributes: before it has any, so that nobody who could know of them misses them.
    pub(super) fn has_xattrs(&self, ino: Ino) {
        self.with_xattrs.lock().unwrap_or_else(PoisonError::into_inner).insert(ino);
    }

    /// Notes that `ino` is gone, and its attributes with it.
    pub(super) fn has_no_xattrs(&self, ino: Ino) {
        self.with_xattrs.lock().unwrap_or_else(PoisonError::into_inner).remove(&ino);
    }

    /// What the file tells of itself; none for what doesn't apply to it.
    fn own_xattr(&self, ino: Ino, name: &[u8]) -> Result<Option<Vec<u8>>> {
        if name == b"control" {
            return Ok((ino == ROOT).then(|| self.settings.control.as_os_str().as_bytes().to_vec()));
        }
        let inode = self.getattr(ino)?;
        if name == b"vault" {
            let vault = inode.vault.map(|id| self.catalog.vault_by_id(id)).transpose()?;
            return Ok(vault.map(|vault| vault.name.into_bytes()));
        }
        if inode.kind() != Kind::File {
            return Ok(None);
        }
        let content = match inode.content.map(|id| self.catalog.content(id)).transpose() {
            // It was found empty, and settled just now.
            Err(crate::catalog::Error::NotFound) => None,
            other => other?,
        };
        let Some(content) = content else {
            return Ok(match name {
                b"state" => Some(b"local".to_vec()),
                b"local_bytes" => Some(b"0".to_vec()),
                _ => None,
            });
        };
        let local = match (&content.present, content.file) {
            (_, None) => 0,
            (None, Some(_)) => inode.size,
            (Some(present), Some(_)) => present.bytes(content.size),
        };
        let archive = content.archive.as_ref().filter(|_| content.state == State::Archived);
        let text = match (name, archive) {
            (b"local_bytes", _) => local.to_string(),
            (b"state", _) => match content.state {
                State::Dirty => "dirty",
                State::Sealed => "sealed",
                State::Archived if content.is_local() => "cached",
                State::Archived if local > 0 => "partial",
                State::Archived => "archived",
            }
            .to_owned(),
            (b"archive_id", Some(archive)) => archive.archive_id.clone(),
            (b"tree_hash", Some(archive)) => archive.tree_hash.iter().fold(String::new(), |mut hex, byte| {
                // Writing to a String can't fail.
                let _ = write!(hex, "{byte:02x}");
                hex
            }),
            (b"uploaded_at", Some(archive)) => rfc3339(archive.created),
            _ => return Ok(None),
        };
        Ok(Some(text.into_bytes()))
    }
}

/// A time in nanoseconds since 1970 as people and programs read it.
fn rfc3339(nanos: i64) -> String {
    jiff::Timestamp::from_nanosecond(i128::from(nanos)).map_or_else(|_| nanos.to_string(), |time| format!("{time:.3}"))
}

fn check_ours(name: &[u8]) -> Result<()> {
    if name.starts_with(OURS) { Err(Errno::EPERM.into()) } else { Ok(()) }
}

/// Which name spaces are kept; of `system.` only access control lists.
fn check_space(name: &[u8]) -> Result<()> {
    if is_acl(name) {
        return Ok(());
    }
    const KEPT: [&[u8]; 3] = [b"user.", b"trusted.", b"security."];
    if KEPT.contains(&name) {
        return Err(Errno::EINVAL.into());
    }
    match KEPT.iter().any(|space| name.starts_with(space)) {
        true if name.len() <= 255 => Ok(()),
        true => Err(Errno::ERANGE.into()),
        false => Err(Errno::EOPNOTSUPP.into()),
    }
}
