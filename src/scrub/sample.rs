//! A sample of a vault's archives, retrieved and looked at.

use std::sync::Arc;

use super::Found;
use super::Scrub;
use super::What;
use super::blocking;
use crate::catalog::Cold;
use crate::catalog::ContentId;

impl Scrub {
    /// Retrieves archives of `vault` that are chosen at random, as many as fit into `bytes`, and compares them with their tree
    /// hashes. They don't stay in the cache.
    pub(super) async fn sample(self: Arc<Self>, what: &What, vault: &str, bytes: u64) -> Result<(), String> {
        let (scrub, name) = (self.clone(), vault.to_owned());
        let (chosen, skipped) = blocking(move || scrub.choose(&name, bytes)).await?;
        self.update(what, |check| {
            check.skipped = skipped;
            check.chosen = chosen.len() as u64;
            check.chosen_bytes = chosen.iter().map(|cold| cold.size).sum();
        });
        // What is evicted before it was looked at would have to be paid for twice.
        let most = self.cache.usage().high / 4;
        let mut rest = chosen.into_iter().peekable();
        while let Some(first) = rest.next() {
            let (mut batch, mut size) = (vec![first], first.size);
            while let Some(next) = rest.next_if(|next| size + next.size <= most) {
                size += next.size;
                batch.push(next);
            }
            for cold in &batch {
                // Why it fails is told by who waits for it.
                let _ = self.recall.restore(cold.id, None);
            }
            for cold in batch {
                self.clone().look_at(what, cold).await?;
            }
        }
        Ok(())
    }

    /// Archives of which nothing is here, and how many of those that were looked at were too large.
    fn choose(&self, vault: &str, bytes: u64) -> crate::catalog::Result<(Vec<Cold>, u64)> {
        let vault = self.catalog.vault(vault)?.ok_or(crate::catalog::Error::NotFound)?;
        let (mut chosen, mut left, mut skipped) = (Vec::new(), bytes, 0);
        self.catalog.cold(vault.id, |cold| {
            match left.checked_sub(cold.size) {
                Some(rest) => {
                    left = rest;
                    chosen.push(cold);
                }
                None => skipped += 1,
            }
            left == 0
        })?;
        Ok((chosen, skipped))
    }

    async fn look_at(self: Arc<Self>, what: &What, cold: Cold) -> Result<(), String> {
        let id: ContentId = cold.id;
        let brought = self.recall.bring(id, 0, cold.size.saturating_sub(1), None).await;
        if brought.as_ref().is_err_and(crate::recall::Error::is_gone) {
            return Ok(());
        }
        let (scrub, what) = (self.clone(), what.clone());
        blocking(move || {
            let (content, found) = match scrub.compare(id) {
                // It was deleted meanwhile.
                Err(crate::catalog::Error::NotFound) => return Ok(()),
                other => other?,
            };
            match (brought, found) {
                (Err(error), _) => scrub.note_bad(&what, &content, format!("it can't be retrieved: {error}"))?,
                (Ok(()), Found::Good) => scrub.update(&what, |check| {
                    check.good += 1;
                    check.good_bytes += content.size;
                }),
                // Somebody had other plans with it.
                (Ok(()), Found::Elsewhere) => scrub.update(&what, |check| check.skipped += 1),
                (Ok(()), Found::Rotten) => {
                    let reason = "the service gave other bytes than were archived".to_owned();
                    scrub.note_bad(&what, &content, reason)?;
                }
            }
            match found {
                Found::Rotten => scrub.give_up(&content),
                // Who has opened it meanwhile wants it.
                Found::Good if !scrub.fs.is_open(content.ino) => scrub.cache.let_go(&[id]).map(drop),
                Found::Good | Found::Elsewhere => Ok(()),
            }
        })
        .await
    }
}
