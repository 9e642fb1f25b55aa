//! Names that other tools' databases know, for the archives of a vault.

use super::Error;
use super::Vaults;
use crate::catalog::Claim;
use crate::catalog::Claimed;
use crate::catalog::now;
use crate::fs::Invalidate;

impl Vaults {
    /// Gives the archives of a vault the names that are claimed for them, or only says what would come of it. Blocks.
    ///
    /// # Errors
    /// [`Error::Missing`], the catalog's.
    pub fn claim(&self, vault: &str, claims: &[Claim], dry_run: bool) -> Result<Vec<Claimed>, Error> {
        let known = self.catalog.vault(vault)?.ok_or_else(|| Error::Missing(vault.to_owned()))?;
        let claimed = self.catalog.claim(known.id, claims, dry_run, now())?;
        if !dry_run {
            for one in &claimed {
                for (dir, name) in &one.changed {
                    self.changed(*dir, name);
                }
                if let Some(ino) = one.ino.filter(|_| !one.changed.is_empty()) {
                    self.tell(&Invalidate::Inode(ino));
                }
            }
        }
        Ok(claimed)
    }
}
