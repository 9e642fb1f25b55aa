//! What is kept here of archived files.

use std::sync::Arc;

use super::Found;
use super::Scrub;
use super::What;
use super::blocking;
use crate::catalog;
use crate::catalog::Cached;
use crate::catalog::FileId;

/// How many files are asked of the catalog at a time.
const BATCH: usize = 100;

impl Scrub {
    /// Checks all of it, file by file. What has rotted is given up, and retrieved again.
    pub(super) async fn local(self: Arc<Self>) -> Result<(), String> {
        let mut after = None;
        loop {
            let scrub = self.clone();
            after = blocking(move || scrub.batch(after)).await?;
            if after.is_none() {
                return Ok(());
            }
        }
    }

    fn batch(&self, after: Option<FileId>) -> catalog::Result<Option<FileId>> {
        let batch = self.catalog.cached(after, BATCH)?;
        for Cached { id, .. } in &batch {
            let (content, found) = match self.compare(*id) {
                Err(catalog::Error::NotFound) => continue,
                other => other?,
            };
            match found {
                Found::Good => self.update(&What::Local, |check| {
                    check.good += 1;
                    check.good_bytes += content.size;
                }),
                Found::Elsewhere => self.update(&What::Local, |check| check.skipped += 1),
                Found::Rotten => {
                    self.give_up(&content)?;
                    let again = match self.recall.restore(*id, None) {
                        Ok(_) => "it is retrieved again".to_owned(),
                        Err(error) => format!("it can't be retrieved now: {error}"),
                    };
                    let reason = format!("what was kept here isn't what was archived, and is given up; {again}");
                    self.note_bad(&What::Local, &content, reason)?;
                }
            }
        }
        Ok(batch.last().map(|last| last.file))
    }
}
