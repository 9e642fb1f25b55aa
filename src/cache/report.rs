//! What there is in the cache, counted one by one.

use super::Cache;
use super::PAGE;
use crate::catalog::Result;

/// What the catalog says is cached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Contents.
    pub files: u64,
    /// Their local bytes.
    pub bytes: u64,
    /// Of the contents, those of which some bytes aren't local.
    pub partial_files: u64,
    /// Of the contents, those that are pinned.
    pub pinned_files: u64,
    /// The local bytes of these.
    pub pinned_bytes: u64,
    /// When the one was used that was used least recently, in nanoseconds since 1970; none when nothing is cached.
    pub oldest: Option<i64>,
}

impl Cache {
    /// Counts what is cached. Blocks, for seconds if it is much.
    ///
    /// # Errors
    /// The catalog's.
    pub fn report(&self) -> Result<Report> {
        self.note_use()?;
        let mut report = Report::default();
        let mut after = None;
        loop {
            let page = self.catalog.cached(after, PAGE)?;
            let Some(last) = page.last() else { return Ok(report) };
            after = Some(last.file);
            let pinned = self.catalog.pinned(&page.iter().map(|cached| cached.id).collect::<Vec<_>>())?;
            for cached in &page {
                report.files += 1;
                report.bytes += cached.bytes;
                report.partial_files += u64::from(cached.is_partial);
                if pinned.contains(&cached.id) {
                    report.pinned_files += 1;
                    report.pinned_bytes += cached.bytes;
                }
                report.oldest = report.oldest.into_iter().chain([cached.used]).min();
            }
        }
    }
}
