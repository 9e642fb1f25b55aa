//! One sealed content becomes one archive: in one request, or in parts.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::TryStreamExt;
use futures_util::stream;

use super::Active;
use super::Failure;
use super::Uploads;
use crate::catalog::Archive;
use crate::catalog::Sealed;
use crate::catalog::State;
use crate::catalog::Upload;
use crate::catalog::now;
use crate::service::Kind;
use crate::service::MULTIPART;
use crate::service::Payload;
use crate::service::PayloadHash;
use crate::service::TreeHash;
use crate::service::USUAL_PART;
use crate::service::description;
use crate::service::treehash;
use crate::util::crash;
use crate::util::crash::Point;
use crate::util::size::MIB;

/// Up to this size a file is read once, into memory, and hashed and sent from there.
const IN_MEMORY: u64 = MIB;

impl Uploads {
    /// Uploads `sealed`, and answers the archive, whose tree hash the service has confirmed.
    pub(super) async fn send(&self, sealed: &Sealed, active: &Arc<Active>) -> Result<Archive, Failure> {
        self.check_wanted(sealed)?;
        let (archive_id, tree_hash) = if sealed.content.size < MULTIPART {
            self.whole(sealed, active).await?
        } else {
            self.parts(sealed, active).await?
        };
        Ok(Archive {
            row: 0,
            vault: sealed.content.vault,
            archive_id,
            size: sealed.content.size,
            tree_hash: tree_hash.0,
            created: now(),
        })
    }

    async fn whole(&self, sealed: &Sealed, active: &Arc<Active>) -> Result<(String, TreeHash), Failure> {
        let payload = self.counted(self.payload(sealed).await?, active);
        let hash = payload.hash().await.map_err(|error| Failure::File(format!("its bytes can't be read: {error}")))?;
        let _request = self.request().await?;
        self.check_wanted(sealed)?;
        let id = self.service.put(&sealed.vault, &describe(sealed), payload, &hash).await?;
        crash::at(Point::ArchiveSent);
        Ok((id, hash.tree_hash))
    }

    /// Uploads in parts, leaving out those that the service has already: what an interrupted upload had sent isn't sent
    /// again.
    async fn parts(&self, sealed: &Sealed, active: &Arc<Active>) -> Result<(String, TreeHash), Failure> {
        let (upload, have) = match self.resume(sealed).await? {
            Some(resumed) => resumed,
            None => match self.completed(sealed).await? {
                Some(archive) => return Ok(archive),
                None => (self.begin(sealed).await?, HashMap::new()),
            },
        };
        let file = Arc::new(self.open(sealed, Ok).await?);
        let size = sealed.content.size;
        let offsets = (0..size.div_ceil(upload.part_size)).map(|n| n * upload.part_size);
        let parts = stream::iter(offsets).map(|offset| {
            let payload = Payload::file(file.clone(), offset, upload.part_size.min(size - offset));
            self.part(sealed, active, &upload, offset, payload, have.get(&offset).copied())
        });
        let roots: Vec<TreeHash> = parts.buffered(self.settings.requests).try_collect().await?;
        let root = treehash::combine(roots);
        crash::at(Point::PartsSent);
        // An archive is paid for for 90 days: not for one that goes to the trash at once.
        self.check_wanted(sealed)?;
        let id = self.service.complete(&sealed.vault, &upload.upload_id, size, root).await?;
        crash::at(Point::UploadCompleted);
        Ok((id, root))
    }

    async fn part(
        &self,
        sealed: &Sealed,
        active: &Arc<Active>,
        upload: &Upload,
        offset: u64,
        payload: Payload,
        have: Option<TreeHash>,
    ) -> Result<TreeHash, Failure> {
        let _request = self.request().await?;
        self.check_wanted(sealed)?;
        let payload = self.counted(payload, active);
        let hash: PayloadHash =
            payload.hash().await.map_err(|error| Failure::File(format!("its bytes can't be read: {error}")))?;
        if have == Some(hash.tree_hash) {
            active.has_sent(payload.len());
            return Ok(hash.tree_hash);
        }
        match self.service.put_part(&sealed.vault, &upload.upload_id, offset, payload.clone(), &hash).await {
            Ok(()) => {
                crash::at(Point::PartSent);
                Ok(hash.tree_hash)
            }
            Err(error) => {
                if error.kind() == Kind::NotFound {
                    // The service has forgotten the upload: the next try begins another.
                    self.catalog.upload_gone(&upload.upload_id)?;
                }
                Err(error.into())
            }
        }
    }

    /// The upload that was begun for this content, and the hashes of its parts by their offset, if the service knows it.
    async fn resume(&self, sealed: &Sealed) -> Result<Option<(Upload, HashMap<u64, TreeHash>)>, Failure> {
        let Some(upload) = sealed.upload.clone() else { return Ok(None) };
        match self.service.parts(&sealed.vault, &upload.upload_id).await {
            Ok(parts) => {
                crash::at(Point::UploadResumed);
                log::info!("the upload of {} goes on: {} parts are there", super::show(&sealed.path), parts.len());
                Ok(Some((upload, parts.into_iter().map(|part| (*part.range.start(), part.tree_hash)).collect())))
            }
            Err(error) if error.kind() == Kind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// The archive that an upload became which the service doesn't know as one any more, if it was completed and nobody here was
    /// told: completing it again is answered in the same way for a while (G14, "Complete Multipart Upload").
    async fn completed(&self, sealed: &Sealed) -> Result<Option<(String, TreeHash)>, Failure> {
        let Some(upload) = &sealed.upload else { return Ok(None) };
        let payload = Payload::file(Arc::new(self.open(sealed, Ok).await?), 0, sealed.content.size);
        let hash = payload.hash().await.map_err(|error| Failure::File(format!("its bytes can't be read: {error}")))?;
        self.check_wanted(sealed)?;
        match self.service.complete(&sealed.vault, &upload.upload_id, sealed.content.size, hash.tree_hash).await {
            Ok(id) => {
                log::info!("the upload of {} was complete already", super::show(&sealed.path));
                Ok(Some((id, hash.tree_hash)))
            }
            Err(error) if matches!(error.kind(), Kind::NotFound | Kind::Invalid) => {
                self.catalog.upload_gone(&upload.upload_id)?;
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn begin(&self, sealed: &Sealed) -> Result<Upload, Failure> {
        // What was begun for bytes that were overwritten since: the note of it is about to be replaced.
        for (old, vault) in self.catalog.unwanted_uploads()? {
            if old.content == sealed.content.id {
                self.abort(&old, &vault).await;
            }
        }
        let size = sealed.content.size;
        let wanted = self.settings.part_size.unwrap_or(USUAL_PART);
        let part_size = self
            .service
            .limits()
            .part_size(size, wanted)
            .ok_or_else(|| Failure::File(format!("its {size} bytes are more than an archive can have")))?;
        let upload_id = self.service.begin(&sealed.vault, &describe(sealed), part_size).await?;
        crash::at(Point::UploadBegun);
        let upload = Upload {
            content: sealed.content.id,
            vault: sealed.content.vault,
            upload_id,
            part_size,
            generation: sealed.content.generation,
        };
        self.catalog.upload_begun(&upload)?;
        crash::at(Point::UploadNoted);
        Ok(upload)
    }

    async fn payload(&self, sealed: &Sealed) -> Result<Payload, Failure> {
        let size = sealed.content.size;
        if size > IN_MEMORY {
            return Ok(Payload::file(Arc::new(self.open(sealed, Ok).await?), 0, size));
        }
        let read = move |file: File| {
            let mut bytes = vec![0; size as usize];
            file.read_exact_at(&mut bytes, 0).map(|()| bytes)
        };
        Ok(Payload::bytes(self.open(sealed, read).await?))
    }

    /// Opens the content's file, makes sure that it is as long as it was when it was sealed, and hands it to `then`, all on
    /// a thread that may wait for the disk.
    async fn open<T: Send + 'static>(
        &self,
        sealed: &Sealed,
        then: impl FnOnce(File) -> io::Result<T> + Send + 'static,
    ) -> Result<T, Failure> {
        let (id, size) = (sealed.content.file.unwrap_or(sealed.content.id), sealed.content.size);
        let store = self.store.clone();
        let opened = tokio::task::spawn_blocking(move || {
            let file = store.read(id)?;
            match file.metadata()?.len() {
                found if found == size => then(file).map(Ok),
                found => Ok(Err(found)),
            }
        });
        match opened.await.map_err(io::Error::other).flatten() {
            Ok(Ok(opened)) => Ok(opened),
            Ok(Err(found)) => {
                self.check_wanted(sealed)?;
                if found > size {
                    // It was added to, and a power cut took what says so.
                    self.catalog.grown(sealed.content.id, sealed.content.generation, found)?;
                    return Err(Failure::Unwanted);
                }
                Err(Failure::File(format!(
                    "its spool file has {found} bytes, but {size} were written: a power cut before they were synced \
                     does that; write the file again"
                )))
            }
            Err(error) => {
                self.check_wanted(sealed)?;
                Err(Failure::File(format!("its spool file can't be read: {error}")))
            }
        }
    }

    fn counted(&self, payload: Payload, active: &Arc<Active>) -> Payload {
        let (active, rate) = (active.clone(), self.rate.clone());
        payload.on_sent(move |bytes| {
            active.has_sent(bytes);
            rate.add(bytes);
        })
    }

    async fn request(&self) -> Result<tokio::sync::SemaphorePermit<'_>, Failure> {
        // The semaphore is never closed.
        self.requests.acquire().await.map_err(|_| Failure::Unwanted)
    }

    /// Fails when the content was written to, or deleted, since it was taken from the queue.
    fn check_wanted(&self, sealed: &Sealed) -> Result<(), Failure> {
        match self.catalog.content(sealed.content.id) {
            Ok(content) if content.state == State::Sealed && content.generation == sealed.content.generation => {
                match content.error.clone().filter(|_| content.is_damaged()) {
                    None => Ok(()),
                    Some(error) => Err(Failure::File(error)),
                }
            }
            Ok(_) | Err(crate::catalog::Error::NotFound) => Err(Failure::Unwanted),
            Err(error) => Err(error.into()),
        }
    }
}

/// What the archive says of itself, so that the vault alone is enough to rebuild the tree.
fn describe(sealed: &Sealed) -> String {
    let inode = &sealed.inode;
    description::encode(&description::Meta {
        // Content IDs are positive.
        content_key: sealed.content.id as u64,
        size: sealed.content.size,
        mode: inode.mode & 0o7777,
        mtime_secs: inode.mtime.div_euclid(1_000_000_000),
        mtime_nanos: inode.mtime.rem_euclid(1_000_000_000) as u32,
        uid: inode.uid,
        gid: inode.gid,
        path: sealed.path.clone(),
    })
}
