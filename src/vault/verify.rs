//! The catalog held against a vault's inventory. Nothing is changed, neither here nor there.

use std::collections::HashSet;
use std::hash::DefaultHasher;
use std::hash::Hash;
use std::hash::Hasher;
use std::sync::Arc;
use std::sync::PoisonError;

use jiff::Timestamp;

use super::Error;
use super::Vaults;
use super::inventory::BATCH;
use super::inventory::USUAL;
use super::inventory::blocking;
use super::inventory::known_archive;
use super::inventory::nanos;
use super::listed::Listed;
use super::listed::short;
use crate::catalog::Archive;
use crate::catalog::Held;
use crate::catalog::Vault;
use crate::catalog::Whereabouts;
use crate::catalog::now;
use crate::service::ArchiveRecord;

/// An archive may be missing in an inventory that was taken this long after it was stored, and the service takes one about this often
/// while something changes (G07, "Retrieving vault inventory": about a day), in nanoseconds.
const LAG: i64 = 24 * 3600 * 1_000_000_000;
/// How many findings of each kind are told one by one.
const TOLD: u64 = 1000;

/// How far the verification of a vault is.
#[derive(Clone, Debug)]
pub struct Verification {
    /// The vault.
    pub vault: String,
    /// When it was asked for.
    pub started: Timestamp,
    /// When the inventory may be there.
    pub eta: Option<Timestamp>,
    /// None as long as the inventory is waited for; then what came of it.
    pub result: Option<Result<Verified, String>>,
}

/// What holding a vault's inventory against the catalog found.
#[derive(Clone, Debug, Default)]
pub struct Verified {
    /// When the inventory was taken, if the service says so.
    pub date: Option<Timestamp>,
    /// Archives that it lists.
    pub listed: u64,
    /// Those that the catalog has with the same size and tree hash.
    pub same: u64,
    /// How many of each kind were found.
    pub counts: [u64; FOUND.len()],
    /// What was found, at most 1,000 of a kind.
    pub findings: Vec<Finding>,
}

/// What can be found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Found {
    /// The catalog has it, and the inventory, which is recent enough, doesn't.
    Missing,
    /// The inventory has another size than the catalog.
    OtherSize,
    /// The inventory has another tree hash than the catalog.
    OtherTreeHash,
    /// The catalog doesn't know it.
    Unknown,
    /// Another archive in the inventory has the same bytes and description.
    Duplicate,
    /// The catalog has it, and it is too young for the inventory.
    NotYetListed,
    /// It was deleted, or is being deleted, and the inventory may be older than that.
    Deleted,
}

/// All kinds of findings, in the order of their numbers.
pub const FOUND: [Found; 7] = [
    Found::Missing,
    Found::OtherSize,
    Found::OtherTreeHash,
    Found::Unknown,
    Found::Duplicate,
    Found::NotYetListed,
    Found::Deleted,
];

impl Found {
    /// Whether something is wrong then.
    pub fn is_trouble(self) -> bool {
        matches!(self, Found::Missing | Found::OtherSize | Found::OtherTreeHash | Found::Unknown)
    }
}

/// Something that was found.
#[derive(Clone, Debug)]
pub struct Finding {
    /// What it is.
    pub found: Found,
    /// The archive.
    pub archive_id: String,
    /// Its path in the vault by the catalog, or by its description; empty when none is known.
    pub path: Vec<u8>,
    /// Whether its file is in the trash.
    pub is_trashed: bool,
    /// Whether all of its bytes are on this machine.
    pub is_local: bool,
    /// When the vault got it.
    pub created: i64,
    /// Bytes by the catalog, and by the inventory.
    pub size: (Option<u64>, Option<u64>),
}

impl Verified {
    /// How many things are wrong.
    pub fn trouble(&self) -> u64 {
        FOUND.iter().filter(|found| found.is_trouble()).map(|found| self.counts[*found as usize]).sum()
    }

    fn note(&mut self, found: Found, finding: impl FnOnce() -> Result<Finding, Error>) -> Result<(), Error> {
        let count = &mut self.counts[found as usize];
        *count += 1;
        if *count <= TOLD {
            self.findings.push(finding()?);
        }
        Ok(())
    }
}

impl Vaults {
    /// Starts verifying the vaults `names`, or reports on that. Ended ones are reported as [`Vaults::inventory`] does it.
    ///
    /// # Errors
    /// [`Error::Missing`], the catalog's; nothing is started then.
    pub fn verify(self: &Arc<Self>, names: &[&str]) -> Result<Vec<Verification>, Error> {
        for name in names {
            self.known(name)?;
        }
        let mut all = self.verifications.lock().unwrap_or_else(PoisonError::into_inner);
        let started = Timestamp::now();
        for name in names.iter().filter(|name| !all.contains_key(**name)).collect::<HashSet<_>>() {
            let (vault, eta) = ((*name).to_owned(), started.checked_add(USUAL).ok());
            all.insert(vault.clone(), Verification { vault: vault.clone(), started, eta, result: None });
            let vaults = self.clone();
            tokio::spawn(async move {
                let result = vaults.verify_one(&vault).await.map_err(|error| error.to_string());
                let mut all = vaults.verifications.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(one) = all.get_mut(&vault) {
                    one.result = Some(result);
                }
            });
        }
        let reports: Vec<Verification> = names.iter().filter_map(|name| all.get(*name).cloned()).collect();
        if reports.iter().all(|one| one.result.is_some()) {
            all.retain(|name, _| !names.contains(&name.as_str()));
        }
        Ok(reports)
    }

    async fn verify_one(self: &Arc<Self>, name: &str) -> Result<Verified, Error> {
        let asked = now();
        let (vault, mut listed, date) = self.listed(name, "verify").await?;
        let vaults = self.clone();
        let verified = blocking(move || {
            listed.sort().map_err(broken)?;
            vaults.compare(&vault, &listed, date, asked)
        })
        .await?;
        log::info!("vault {name} was verified: {} archives, {} in trouble", verified.listed, verified.trouble());
        Ok(verified)
    }

    fn compare(&self, vault: &Vault, listed: &Listed, date: Option<Timestamp>, asked: i64) -> Result<Verified, Error> {
        let mut verified = Verified { date, listed: listed.len() as u64, ..Verified::default() };
        // By hash: what counts is whether there are any.
        let mut bodies: HashSet<u64> = HashSet::with_capacity(listed.len());
        for first in (0..listed.len()).step_by(BATCH) {
            let batch = listed.batch(first, BATCH).map_err(broken)?;
            let ids: Vec<&str> = batch.iter().map(|one| one.archive_id.as_str()).collect();
            let held = self.catalog.held(vault.id, &ids)?;
            for (one, held) in batch.iter().zip(held) {
                if !bodies.insert(body(one)) {
                    verified.note(Found::Duplicate, || self.finding(Found::Duplicate, one, &held))?;
                }
                let found = match &held {
                    Held::Archive(ours) if ours.size != one.size => Found::OtherSize,
                    Held::Archive(ours) if ours.tree_hash != one.tree_hash.0 => Found::OtherTreeHash,
                    Held::Archive(_) => {
                        verified.same += 1;
                        continue;
                    }
                    Held::Deleted => Found::Deleted,
                    Held::Unknown => Found::Unknown,
                };
                verified.note(found, || self.finding(found, one, &held))?;
            }
        }
        let there = listed.short_ids();
        // One in which nothing has changed isn't taken anew.
        let taken = date.map_or(i64::MIN, |date| nanos(date.as_nanosecond()).saturating_sub(LAG));
        let oldest = taken.max(asked.saturating_sub(2 * LAG));
        let mut absent = Vec::new();
        self.catalog.for_each_archive(vault.id, |archive| {
            if there.binary_search(&short(&archive.archive_id)).is_err() {
                absent.push(archive);
            }
        })?;
        for archive in absent {
            let place = self.catalog.whereabouts(archive.row)?;
            let found = match archive.created < oldest {
                _ if place.is_going => Found::Deleted,
                true => Found::Missing,
                false => Found::NotYetListed,
            };
            verified.note(found, || Ok(finding(found, &archive, place, None)))?;
        }
        Ok(verified)
    }

    fn finding(&self, found: Found, listed: &ArchiveRecord, held: &Held) -> Result<Finding, Error> {
        Ok(match held {
            Held::Archive(ours) => finding(found, ours, self.catalog.whereabouts(ours.row)?, Some(listed.size)),
            Held::Deleted | Held::Unknown => {
                let (known, _) = known_archive(listed);
                Finding {
                    found,
                    archive_id: known.archive_id,
                    path: known.path.map(|path| path.join(&b'/')).unwrap_or_default(),
                    is_trashed: false,
                    is_local: false,
                    created: known.created,
                    size: (None, Some(known.size)),
                }
            }
        })
    }
}

fn finding(found: Found, ours: &Archive, place: Whereabouts, theirs: Option<u64>) -> Finding {
    let Whereabouts { path, is_trashed, is_local, .. } = place;
    let (archive_id, size) = (ours.archive_id.clone(), (Some(ours.size), theirs));
    Finding { found, archive_id, path, is_trashed, is_local, created: ours.created, size }
}

/// What an archive is but its name and its time.
fn body(listed: &ArchiveRecord) -> u64 {
    let mut hasher = DefaultHasher::new();
    (&listed.description, listed.size, listed.tree_hash.0).hash(&mut hasher);
    hasher.finish()
}

fn broken(error: std::io::Error) -> Error {
    Error::Reconcile(error.to_string())
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use sha2::Digest as _;

    use super::*;
    use crate::catalog::Catalog;
    use crate::catalog::KnownArchive;
    use crate::fs::Caller;
    use crate::service::fake::Fake;

    /// Two days, in nanoseconds.
    const LONG: i64 = 2 * LAG;

    struct House {
        fake: Arc<Fake>,
        catalog: Arc<Catalog>,
        vaults: Arc<Vaults>,
        vault: Vault,
    }

    fn house(dir: &Path) -> House {
        let fake = Fake::new(&["v"]);
        let catalog = Arc::new(Catalog::open(&dir.join("catalog.db"), Duration::ZERO).expect("catalog"));
        let new = crate::vault::directory(0o755, Caller { uid: 0, gid: 0 });
        catalog.add_vault("v", "", new, 1).expect("vault");
        let vaults = Arc::new(Vaults::new(catalog.clone(), fake.clone(), dir.to_owned()));
        let vault = catalog.vault("v").expect("a catalog").expect("a vault");
        House { fake, catalog, vaults, vault }
    }

    impl House {
        /// An archive as the catalog knows it, of this age, in a file of the name `name`.
        fn known(&self, archive_id: &str, name: &str, bytes: &str, age: i64) {
            let known = KnownArchive {
                archive_id: archive_id.to_owned(),
                size: bytes.len() as u64,
                // That of so few bytes is their SHA-256.
                tree_hash: sha2::Sha256::digest(bytes).into(),
                created: now() - age,
                content: None,
                path: Some(vec![name.as_bytes().to_vec()]),
                is_folder: false,
                mode: None,
                owner: None,
                mtime: None,
            };
            self.catalog.adopt(self.vault.id, &[known], 1).expect("adopted");
        }

        async fn verify(&self) -> Verified {
            loop {
                let mut all = self.vaults.verify(&["v"]).expect("asked");
                if let Some(result) = all.remove(0).result {
                    return result.expect("verified");
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    }

    /// Promise: `verify` tells what is missing, unknown, not the same, double, too young to be listed and deleted but listed, each
    /// with the file's name, and counts what is as it should be; it changes nothing.
    #[tokio::test]
    async fn everything_that_can_be_found() {
        let tmp = tempfile::tempdir().expect("temporary directory");
        let house = house(tmp.path());
        let add = |description: &str, bytes: &str| house.fake.add_archive("v", description, bytes.to_owned());
        house.known(&add("a", "good"), "good", "good", LONG);
        house.known(&add("b", "larger"), "size", "smaller!", LONG);
        house.known(&add("c", "these"), "hash", "those", LONG);
        house.known("lost", "lost", "x", LONG);
        house.known("young", "young", "y", LAG / 2);
        let stray = add("a-stray", "stray");
        let double = add("a", "good");
        house.known("gone", "gone", "z", LONG);
        let ino = house.catalog.lookup(house.vault.root, b"gone").expect("a lookup").expect("a file").ino;
        house.catalog.unlink(house.vault.root, b"gone", 2).expect("deleted");
        house.catalog.drop_orphan(ino, 2).expect("in the trash");
        house.catalog.trash_goes(&[ino], 3).expect("on its way");
        let deleted = add("d", "deleted");
        house.known(&deleted, "deleted", "deleted", LONG);
        let ino = house.catalog.lookup(house.vault.root, b"deleted").expect("a lookup").expect("a file").ino;
        house.catalog.unlink(house.vault.root, b"deleted", 2).expect("deleted");
        house.catalog.drop_orphan(ino, 2).expect("in the trash");
        house.catalog.purged(&[ino], now()).expect("purged");

        for _ in 0..2 {
            let verified = house.verify().await;
            let found: Vec<_> = verified
                .findings
                .iter()
                .map(|one| (one.found, String::from_utf8_lossy(&one.path).into_owned()))
                .collect();
            let of = |found: Found, path: &str| (found, path.to_owned());
            for expected in [
                of(Found::Missing, "lost"),
                of(Found::OtherSize, "size"),
                of(Found::OtherTreeHash, "hash"),
                of(Found::Unknown, "a-stray"),
                of(Found::Duplicate, "a"),
                of(Found::NotYetListed, "young"),
                of(Found::Deleted, "gone"),
                of(Found::Deleted, "d"),
            ] {
                // Which of two doubles is the second depends on their times.
                let is_it = |one: &(Found, String)| *one == expected || one.0 == Found::Duplicate && one.1 == "good";
                assert!(found.iter().any(is_it), "{expected:?} in {found:?}");
            }
            assert_eq!((verified.listed, verified.same, verified.trouble()), (6, 1, 5), "{found:?}");
            assert!(verified.findings.iter().any(|one| one.archive_id == stray));
            assert!(verified.findings.iter().any(|one| one.archive_id == double));
        }
        assert_eq!(house.fake.archives("v").len(), 6);
    }

    /// Promise: an archive that was deleted doesn't come back with an inventory that is older than its deletion.
    #[tokio::test]
    async fn old_inventories_bring_nothing_back() {
        let tmp = tempfile::tempdir().expect("temporary directory");
        let house = house(tmp.path());
        let id = house.fake.add_archive("v", "a", "bytes".to_owned());
        house.known(&id, "a", "bytes", LONG);
        let ino = house.catalog.lookup(house.vault.root, b"a").expect("a lookup").expect("a file").ino;
        house.catalog.unlink(house.vault.root, b"a", 2).expect("deleted");
        house.catalog.drop_orphan(ino, 2).expect("in the trash");
        house.catalog.purged(&[ino], now() - 8 * LAG).expect("purged");
        tokio::spawn(house.vaults.clone().run());
        let report = loop {
            let mut all = house.vaults.inventory(&["v"], false).expect("asked");
            match all.remove(0).state {
                crate::vault::InventoryState::Waiting => tokio::time::sleep(Duration::from_millis(5)).await,
                crate::vault::InventoryState::Done(report) => break report,
                crate::vault::InventoryState::Failed(reason) => panic!("{reason}"),
            }
        };
        assert_eq!((report.archives, report.deleted, report.added), (1, 1, 0));
        assert!(house.catalog.lookup(house.vault.root, b"a").expect("a lookup").is_none());
        // That inventory was long after: what another lists isn't what was deleted.
        house.known(&id, "a", "bytes", LONG);
        assert!(house.catalog.lookup(house.vault.root, b"a").expect("a lookup").is_some());
    }
}
