//! What the service charges, by region: a dated table, and the sums that follow from it.
//!
//! The table is part of the program (`table.toml`), and can be replaced by a file of the same form. Sums are exact, in billionths of
//! a dollar, each rounded up: an estimate is never less than what the table says. AWS counts a GB as 2^30 bytes.

use std::collections::BTreeMap;
use std::path::Path;
use std::path::PathBuf;

use serde::Deserialize;
use serde::Deserializer;
use serde::de::Error as _;

use crate::util::money::Money;
use crate::util::money::decimal;
use crate::util::size::GIB;
use crate::util::size::KIB;
use crate::util::tier::Tier;

/// The table that is part of the program, as a file.
pub const TABLE: &str = include_str!("table.toml");

/// Bytes that each archive is billed more than it has (guide, "Pricing").
pub const OVERHEAD: u64 = 32 * KIB;
/// The days of a month by which the storage of a part of one is billed here.
const MONTH: u64 = 30;

/// What the service charges in one region.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prices {
    /// The region.
    pub region: String,
    /// Whether the table has no line for it, so that these are its defaults.
    pub is_default: bool,
    /// As of when, as the table says.
    pub date: String,
    /// A GiB that is stored for a month.
    pub storage: Money,
    /// 1,000 requests that upload: archives, and parts, beginnings and ends of multipart uploads.
    pub uploads: Money,
    /// A GiB that is retrieved, by tier in the order of [`Tier`].
    retrieved: [Money; 3],
    /// 1,000 retrieval jobs, likewise.
    jobs: [Money; 3],
}

/// Why a table can't be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file can't be read.
    #[error("the table of prices {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It isn't a table.
    #[error("the table of prices {} isn't one: {why}", path.display())]
    Bad {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        why: String,
    },
}

impl Prices {
    /// Those of `region` in the table that is part of the program.
    pub fn built_in(region: &str) -> Self {
        // The text is part of the program, and a test reads it.
        Prices::parse(TABLE, region).expect("the table of prices is sound")
    }

    /// Those of `region` in the table in the file `path`.
    ///
    /// # Errors
    /// [`Error`].
    pub fn read(path: &Path, region: &str) -> Result<Self, Error> {
        let text = std::fs::read_to_string(path).map_err(|source| Error::Read { path: path.to_path_buf(), source })?;
        Prices::parse(&text, region).map_err(|why| Error::Bad { path: path.to_path_buf(), why })
    }

    fn parse(text: &str, region: &str) -> Result<Self, String> {
        let table: Table = toml_edit::de::from_str(text).map_err(|error| error.to_string().trim().to_owned())?;
        let own = table.region.get(region);
        let price = |what: &str, of: fn(&Row) -> Option<Money>| {
            let found = own.and_then(of).or_else(|| of(&table.default));
            found.ok_or_else(|| format!("neither [default] nor [region.{region}] says what {what:?} costs"))
        };
        Ok(Prices {
            region: region.to_owned(),
            is_default: own.is_none(),
            date: table.date,
            storage: price("storage", |row| row.storage)?,
            uploads: price("uploads", |row| row.uploads)?,
            retrieved: [
                price("expedited", |row| row.expedited)?,
                price("standard", |row| row.standard)?,
                price("bulk", |row| row.bulk)?,
            ],
            jobs: [
                price("expedited-requests", |row| row.expedited_requests)?,
                price("standard-requests", |row| row.standard_requests)?,
                price("bulk-requests", |row| row.bulk_requests)?,
            ],
        })
    }

    /// A GiB that is retrieved, and 1,000 jobs for it.
    pub fn tier(&self, tier: Tier) -> (Money, Money) {
        (self.retrieved[tier as usize], self.jobs[tier as usize])
    }

    /// One retrieval job for `bytes` bytes.
    pub fn retrieval(&self, tier: Tier, bytes: u64) -> Money {
        self.retrievals(tier, 1, bytes)
    }

    /// So many retrieval jobs for `bytes` bytes together.
    pub fn retrievals(&self, tier: Tier, jobs: u64, bytes: u64) -> Money {
        let (gib, thousand) = self.tier(tier);
        gib.share(bytes, GIB) + thousand.share(jobs, 1000)
    }

    /// So many requests that upload.
    pub fn upload(&self, requests: u64) -> Money {
        self.uploads.share(requests, 1000)
    }

    /// A month of storage for `archives` archives that have `bytes` bytes together.
    pub fn storage_month(&self, bytes: u64, archives: u64) -> Money {
        self.storage.share(bytes.saturating_add(archives.saturating_mul(OVERHEAD)), GIB)
    }

    /// Deletions of archives that would be paid for yet: for `byte_days`, their bytes, each with [`OVERHEAD`], times the days (guide,
    /// "Deleting an Archive").
    pub fn early_deletion(&self, byte_days: u64) -> Money {
        self.storage.share(byte_days, GIB * MONTH)
    }
}

/// The file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    date: String,
    default: Row,
    #[serde(default)]
    region: BTreeMap<String, Row>,
}

/// The prices of a region; what is left out is the default's.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Row {
    #[serde(default, deserialize_with = "dollars")]
    storage: Option<Money>,
    #[serde(default, deserialize_with = "dollars")]
    uploads: Option<Money>,
    #[serde(default, deserialize_with = "dollars")]
    expedited: Option<Money>,
    #[serde(default, deserialize_with = "dollars")]
    expedited_requests: Option<Money>,
    #[serde(default, deserialize_with = "dollars")]
    standard: Option<Money>,
    #[serde(default, deserialize_with = "dollars")]
    standard_requests: Option<Money>,
    #[serde(default, deserialize_with = "dollars")]
    bulk: Option<Money>,
    #[serde(default, deserialize_with = "dollars")]
    bulk_requests: Option<Money>,
}

/// A price: dollars as text, since 0.1 isn't exactly a tenth as a number.
fn dollars<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Money>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let billionths = decimal(&text).ok_or_else(|| {
        D::Error::custom(format!(
            "{text:?} is not a price: allowed are dollars with up to nine digits after the point, such as \"0.0036\""
        ))
    })?;
    Ok(Some(Money(billionths)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Promise: the table of the program is sound, knows what Northern Virginia costs, and no region without a line of its own is
    /// cheaper than one that has one.
    #[test]
    fn the_table_is_sound() {
        let virginia = Prices::built_in("us-east-1");
        assert_eq!(virginia.retrieval(Tier::Standard, GIB), Money(10_050_000));
        assert_eq!(virginia.retrieval(Tier::Expedited, 1), Money(10_000_000 + 1));
        assert_eq!(virginia.retrieval(Tier::Bulk, 4 * GIB), Money(10_025_000));
        assert_eq!(virginia.upload(1000), Money(50_000_000));
        assert_eq!(virginia.storage_month(GIB - OVERHEAD, 1), Money(4_000_000));
        assert_eq!(virginia.early_deletion(GIB * 90), Money(12_000_000));
        let unknown = Prices::built_in("xx-new-1");
        assert!(unknown.is_default && !virginia.is_default);
        let table: Table = toml_edit::de::from_str(TABLE).expect("a table");
        for region in table.region.keys() {
            let known = Prices::built_in(region);
            assert!(known.storage <= unknown.storage && known.uploads <= unknown.uploads, "{region}");
            for tier in [Tier::Expedited, Tier::Standard, Tier::Bulk] {
                assert!(known.retrieval(tier, GIB) <= unknown.retrieval(tier, GIB), "{region}");
            }
        }
    }

    /// Promise: a table of somebody's own is refused with what is wrong and where.
    #[test]
    fn bad_tables_are_refused() {
        let tmp = tempfile::tempdir().expect("temporary directory");
        let path = tmp.path().join("prices.toml");
        let refused = |text: &str| {
            std::fs::write(&path, text).expect("written");
            Prices::read(&path, "eu-west-1").expect_err("refused").to_string()
        };
        assert!(
            refused("date = \"2026-01-01\"\n[default]\nstorage = \"a lot\"\n").contains("\"a lot\" is not a price")
        );
        assert!(refused("date = \"2026-01-01\"\n[default]\nstorrage = \"1\"\n").contains("storrage"));
        assert!(refused("date = \"2026-01-01\"\n[default]\nstorage = \"1\"\n").contains("what \"uploads\" costs"));
        assert!(refused("prices").contains("line 1"));
        std::fs::remove_file(&path).expect("removed");
        assert!(Prices::read(&path, "eu-west-1").expect_err("missing").to_string().contains("prices.toml"));
        std::fs::write(&path, TABLE).expect("written");
        assert_eq!(Prices::read(&path, "eu-west-1").expect("the same"), Prices::built_in("eu-west-1"));
    }
}
