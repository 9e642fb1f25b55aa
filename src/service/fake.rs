//! An archive service in memory, for tests of what uses one.
//!
//! It keeps the trait's promises as strictly as a real one: hashes are compared, parts must fit, a job that isn't done has no
//! output, a vault that isn't empty stays. A test can see what it holds, count the calls, hold calls or jobs until it lets
//! them go ([`Fake::hold`], [`Fake::hold_jobs`]), and make any operation fail, before or after it had its effect
//! ([`Fake::fail`]).

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::collections::HashSet;
use std::fmt;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::TryFutureExt;
use futures_util::future::BoxFuture;
use futures_util::stream;
use futures_util::stream::BoxStream;
use jiff::Timestamp;
use tokio::sync::Semaphore;
use tokio::sync::watch;

use super::ArchiveRecord;
use super::ArchiveService;
use super::Error;
use super::Fetched;
use super::InventoryItem;
use super::Job;
use super::JobKind;
use super::JobStatus;
use super::Kind;
use super::Limits;
use super::Part;
use super::Payload;
use super::PayloadHash;
use super::Result;
use super::Retention;
use super::Tier;
use super::TreeHash;
use super::Vault;
use super::treehash;
use crate::util::size::GIB;
use crate::util::size::MIB;

/// How many jobs come at a time.
const PAGE: usize = 3;
/// How much of an output comes at a time.
const PIECE: usize = 256 << 10;

/// An operation of the trait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Op {
    /// [`ArchiveService::vaults`].
    Vaults,
    /// [`ArchiveService::vault`].
    Vault,
    /// [`ArchiveService::create_vault`].
    CreateVault,
    /// [`ArchiveService::delete_vault`].
    DeleteVault,
    /// [`ArchiveService::put`].
    Put,
    /// [`ArchiveService::begin`].
    Begin,
    /// [`ArchiveService::put_part`].
    PutPart,
    /// [`ArchiveService::parts`].
    Parts,
    /// [`ArchiveService::complete`].
    Complete,
    /// [`ArchiveService::abort`].
    Abort,
    /// [`ArchiveService::delete_archive`].
    DeleteArchive,
    /// [`ArchiveService::retention`].
    Retention,
    /// [`ArchiveService::request_retrieval`].
    RequestRetrieval,
    /// [`ArchiveService::request_inventory`].
    RequestInventory,
    /// [`ArchiveService::jobs`].
    Jobs,
    /// [`ArchiveService::job`].
    Job,
    /// [`ArchiveService::fetch`].
    Fetch,
    /// [`ArchiveService::inventory`].
    Inventory,
}

/// When an injected error comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// Instead of the operation's effect.
    Before,
    /// Though the operation had its effect, as when the answer is lost.
    After,
}

/// An archive as the service holds it.
#[derive(Clone, Debug)]
pub struct Archive {
    /// Its description.
    pub description: String,
    /// When it came to exist.
    pub created: Timestamp,
    /// Its bytes.
    pub bytes: Bytes,
    /// Their tree hash.
    pub tree_hash: TreeHash,
}

/// The service.
#[derive(Debug, Default)]
pub struct Fake {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    vaults: BTreeMap<String, Contents>,
    calls: HashMap<Op, usize>,
    holds: HashMap<Op, Gate>,
    faults: Vec<Fault>,
    jobs_are_held: bool,
    without_inventory: HashSet<String>,
    retention: HashMap<String, Retention>,
    /// Of how many of the next outputs a byte is wrong, and how many end in the middle.
    spoilt: usize,
    cut: usize,
    last_id: u64,
}

#[derive(Debug)]
struct Contents {
    created: Timestamp,
    archives: BTreeMap<String, Archive>,
    uploads: BTreeMap<String, Upload>,
    /// What became of completed uploads, so that completing can be repeated.
    completed: HashMap<String, String>,
    jobs: BTreeMap<String, Work>,
}

#[derive(Clone, Debug)]
struct Upload {
    description: String,
    part_size: u64,
    parts: BTreeMap<u64, Bytes>,
}

#[derive(Clone, Debug)]
struct Work {
    job: Job,
    /// The archive as it was when the job was asked for; none for an inventory.
    archive: Option<Bytes>,
    records: Vec<ArchiveRecord>,
}

#[derive(Debug)]
struct Fault {
    op: Op,
    vault: Option<String>,
    left: usize,
    when: When,
    error: Error,
}

/// Where held calls wait.
#[derive(Clone, Debug)]
struct Gate {
    /// A permit for each call that may pass; closed once all may.
    passes: Arc<Semaphore>,
    come: watch::Sender<usize>,
}

/// Holds the calls of an operation until it is dropped.
#[derive(Debug)]
pub struct Held {
    fake: Arc<Fake>,
    op: Op,
    gate: Gate,
}

impl Held {
    /// Waits until `n` calls have come, those that were let go on included.
    pub async fn reached(&self, n: usize) {
        // The sender is ours, so the wait ends only by the calls coming.
        let _ = self.gate.come.subscribe().wait_for(|come| *come >= n).await;
    }

    /// Lets `n` calls go on.
    pub fn let_pass(&self, n: usize) {
        self.gate.passes.add_permits(n);
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.fake.lock().holds.remove(&self.op);
        self.gate.passes.close();
    }
}

/// An error of this kind, as retryable as such errors usually are.
pub fn error(kind: Kind) -> Error {
    let retryable =
        matches!(kind, Kind::Unavailable | Kind::ClockSkew | Kind::NotReady | Kind::Corrupt | Kind::Capacity);
    Error::new(kind, retryable, format!("injected: {kind:?}"))
}

impl Fake {
    /// A service with these empty vaults.
    pub fn new(vaults: &[&str]) -> Arc<Self> {
        let fake = Arc::new(Fake::default());
        for vault in vaults {
            fake.lock().add_vault(vault);
        }
        fake
    }

    /// The next `times` calls of `op` fail with `error`, in `vault` or (none) in all of them.
    pub fn fail(&self, op: Op, vault: Option<&str>, times: usize, when: When, error: Error) {
        let vault = vault.map(str::to_owned);
        self.lock().faults.push(Fault { op, vault, left: times, when, error });
    }

    /// Whatever was to fail works again.
    pub fn heal(&self) {
        let mut state = self.lock();
        (state.spoilt, state.cut) = (0, 0);
        state.faults.clear();
    }

    /// The next `times` outputs have a wrong byte.
    pub fn spoil_outputs(&self, times: usize) {
        self.lock().spoilt = times;
    }

    /// The next `times` outputs end in the middle with an error.
    pub fn cut_outputs(&self, times: usize) {
        self.lock().cut = times;
    }

    /// Holds every call of `op`, before it has its effect, until the answer is dropped.
    pub fn hold(self: &Arc<Self>, op: Op) -> Held {
        let gate = Gate { passes: Arc::new(Semaphore::new(0)), come: watch::Sender::new(0) };
        self.lock().holds.insert(op, gate.clone());
        Held { fake: self.clone(), op, gate }
    }

    /// From now on jobs stay in progress, until [`Fake::finish_jobs`].
    pub fn hold_jobs(&self) {
        self.lock().jobs_are_held = true;
    }

    /// Ends all jobs, and those to come at once.
    pub fn finish_jobs(&self) {
        self.end_jobs(JobStatus::Succeeded);
        self.lock().jobs_are_held = false;
    }

    /// Ends the jobs in progress without output.
    pub fn fail_jobs(&self, reason: &str) {
        self.end_jobs(JobStatus::Failed(reason.to_owned()));
    }

    /// Forgets all jobs, as the service does a day after they ended.
    pub fn expire_jobs(&self) {
        self.lock().vaults.values_mut().for_each(|vault| vault.jobs.clear());
    }

    /// Has all jobs be from `by` earlier than they are.
    pub fn age_jobs(&self, by: jiff::SignedDuration) {
        for work in self.lock().vaults.values_mut().flat_map(|vault| vault.jobs.values_mut()) {
            work.job.created -= by;
            work.job.completed = work.job.completed.map(|completed| completed - by);
        }
    }

    /// Whether there is an inventory of a vault; there is, unless a test says otherwise.
    pub fn set_has_inventory(&self, vault: &str, has: bool) {
        let mut state = self.lock();
        match has {
            true => state.without_inventory.remove(vault),
            false => state.without_inventory.insert(vault.to_owned()),
        };
    }

    /// What the lock of a vault says. It forbids nothing by itself: see [`Fake::fail`].
    pub fn set_retention(&self, vault: &str, retention: Retention) {
        self.lock().retention.insert(vault.to_owned(), retention);
    }

    /// How often an operation was called.
    pub fn calls(&self, op: Op) -> usize {
        self.lock().calls.get(&op).copied().unwrap_or(0)
    }

    /// The archives of a vault by ID.
    pub fn archives(&self, vault: &str) -> BTreeMap<String, Archive> {
        self.lock().vaults.get(vault).map(|vault| vault.archives.clone()).unwrap_or_default()
    }

    /// The IDs of the uploads in parts that are under way in a vault, and their parts' offsets.
    pub fn uploads(&self, vault: &str) -> BTreeMap<String, Vec<u64>> {
        let parts = |upload: &Upload| upload.parts.keys().copied().collect();
        let state = self.lock();
        let uploads = state.vaults.get(vault).map(|vault| &vault.uploads);
        uploads.into_iter().flatten().map(|(id, upload)| (id.clone(), parts(upload))).collect()
    }

    /// The jobs of all vaults, ended ones too.
    pub fn all_jobs(&self) -> Vec<Job> {
        self.lock().vaults.values().flat_map(|vault| vault.jobs.values()).map(|work| work.job.clone()).collect()
    }

    /// Puts an archive, as another program would.
    pub fn add_archive(&self, vault: &str, description: &str, bytes: impl Into<Bytes>) -> String {
        let mut state = self.lock();
        let id = state.id("archive");
        let archive = archive(description, bytes.into());
        state.vault(vault).expect("a vault").archives.insert(id.clone(), archive);
        id
    }

    fn end_jobs(&self, status: JobStatus) {
        for vault in self.lock().vaults.values_mut() {
            for work in vault.jobs.values_mut().filter(|work| work.job.status == JobStatus::InProgress) {
                work.job.status = status.clone();
                work.job.completed = Some(Timestamp::now());
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a call, holds it, and answers the error that it is to end with after its effect; `Err` is one that comes
    /// before.
    async fn enter(&self, op: Op, vault: &str) -> Result<Option<Error>> {
        let gate = {
            let mut state = self.lock();
            *state.calls.entry(op).or_default() += 1;
            state.holds.get(&op).cloned()
        };
        if let Some(gate) = gate {
            gate.come.send_modify(|come| *come += 1);
            // No pass is needed once the gate is closed for good.
            if let Ok(pass) = gate.passes.acquire().await {
                pass.forget();
            }
        }
        let mut state = self.lock();
        let meant = |fault: &&mut Fault| {
            fault.op == op && fault.left > 0 && fault.vault.as_ref().is_none_or(|name| name == vault)
        };
        match state.faults.iter_mut().find(meant) {
            None => Ok(None),
            Some(fault) => {
                fault.left -= 1;
                match fault.when {
                    When::Before => Err(fault.error.clone()),
                    When::After => Ok(Some(fault.error.clone().with_unknown_outcome(true))),
                }
            }
        }
    }

    /// An operation that is nothing but its effect.
    async fn call<T>(&self, op: Op, vault: &str, effect: impl FnOnce(&mut State) -> Result<T>) -> Result<T> {
        let after = self.enter(op, vault).await?;
        let answer = effect(&mut self.lock())?;
        after.map_or(Ok(answer), Err)
    }
}

impl State {
    fn id(&mut self, kind: &str) -> String {
        self.last_id += 1;
        format!("{kind}-{:06}", self.last_id)
    }

    fn add_vault(&mut self, name: &str) {
        self.vaults.entry(name.to_owned()).or_insert_with(|| Contents {
            created: Timestamp::now(),
            archives: BTreeMap::new(),
            uploads: BTreeMap::new(),
            completed: HashMap::new(),
            jobs: BTreeMap::new(),
        });
    }

    fn vault(&mut self, name: &str) -> Result<&mut Contents> {
        let missing = || Error::new(Kind::VaultMissing, false, format!("there is no vault {name}"));
        self.vaults.get_mut(name).ok_or_else(missing)
    }

    fn upload(&mut self, vault: &str, id: &str) -> Result<&mut Upload> {
        self.vault(vault)?.uploads.get_mut(id).ok_or_else(|| not_found(id))
    }

    fn work(&mut self, vault: &str, id: &str) -> Result<Work> {
        self.vault(vault)?.jobs.get(id).cloned().ok_or_else(|| not_found(id))
    }

    fn finished(&mut self, vault: &str, id: &str) -> Result<Work> {
        let work = self.work(vault, id)?;
        match work.job.status {
            JobStatus::Succeeded => Ok(work),
            JobStatus::InProgress => Err(Error::new(Kind::NotReady, true, format!("job {id} isn't done yet"))),
            JobStatus::Failed(_) => Err(invalid(format!("job {id} has failed"))),
        }
    }

    fn begin_job(
        &mut self,
        vault: &str,
        kind: JobKind,
        tier: Option<Tier>,
        archive: Option<Bytes>,
        size: Option<u64>,
    ) -> Result<String> {
        let id = self.id("job");
        let (created, held) = (Timestamp::now(), self.jobs_are_held);
        let status = if held { JobStatus::InProgress } else { JobStatus::Succeeded };
        let completed = (!held).then_some(created);
        let vault = self.vault(vault)?;
        let job = Job { id: id.clone(), kind, tier, status, created, completed, size, tree_hash: None };
        let record = |(id, archive): (&String, &Archive)| ArchiveRecord {
            archive_id: id.clone(),
            description: archive.description.clone(),
            created: archive.created,
            size: archive.bytes.len() as u64,
            tree_hash: archive.tree_hash,
        };
        let records = vault.archives.iter().map(record).collect();
        vault.jobs.insert(id.clone(), Work { job, archive, records });
        Ok(id)
    }

    fn describe(&self, name: &str, vault: &Contents) -> Vault {
        let counted = !self.without_inventory.contains(name);
        let bytes = vault.archives.values().map(|archive| archive.bytes.len() as u64).sum();
        Vault {
            name: name.to_owned(),
            arn: format!("arn:aws:glacier:us-east-1:000000000000:vaults/{name}"),
            created: vault.created,
            last_inventory: counted.then(Timestamp::now),
            archives: counted.then_some(vault.archives.len() as u64),
            bytes: counted.then_some(bytes),
        }
    }
}

fn archive(description: &str, bytes: Bytes) -> Archive {
    let tree_hash = treehash::tree_hash(&bytes);
    Archive { description: description.to_owned(), created: Timestamp::now(), bytes, tree_hash }
}

fn not_found(id: &str) -> Error {
    Error::new(Kind::NotFound, false, format!("there is no {id}"))
}

fn invalid(message: impl fmt::Display) -> Error {
    Error::new(Kind::Invalid, false, message.to_string())
}

/// The bytes of a payload, if they are those that `hash` is of.
async fn read(payload: &Payload, hash: &PayloadHash) -> Result<Bytes> {
    let bytes = payload.read().await.map_err(|error| Error::new(Kind::Local, false, error.to_string()))?;
    match treehash::tree_hash(&bytes) == hash.tree_hash && bytes.len() as u64 == hash.size {
        true if !bytes.is_empty() => Ok(bytes),
        true => Err(invalid("an archive or a part has at least one byte")),
        false => Err(Error::new(Kind::Corrupt, true, "what arrived isn't what was hashed")),
    }
}

impl ArchiveService for Fake {
    fn endpoint(&self) -> &str {
        "memory:"
    }

    fn limits(&self) -> Limits {
        Limits { max_put: 4 * GIB, min_part: MIB, max_part: 4 * GIB, max_parts: 10_000 }
    }

    fn vaults(&self) -> BoxFuture<'_, Result<Vec<Vault>>> {
        Box::pin(self.call(Op::Vaults, "", |state| {
            Ok(state.vaults.iter().map(|(name, vault)| state.describe(name, vault)).collect())
        }))
    }

    fn vault<'a>(&'a self, vault: &'a str) -> BoxFuture<'a, Result<Vault>> {
        Box::pin(self.call(Op::Vault, vault, move |state| {
            state.vault(vault)?;
            Ok(state.describe(vault, &state.vaults[vault]))
        }))
    }

    fn create_vault<'a>(&'a self, vault: &'a str) -> BoxFuture<'a, Result<()>> {
        Box::pin(self.call(Op::CreateVault, vault, move |state| {
            state.add_vault(vault);
            Ok(())
        }))
    }

    fn delete_vault<'a>(&'a self, vault: &'a str) -> BoxFuture<'a, Result<()>> {
        Box::pin(self.call(Op::DeleteVault, vault, move |state| {
            if state.vaults.get(vault).is_some_and(|vault| !vault.archives.is_empty()) {
                return Err(Error::new(Kind::VaultNotEmpty, false, format!("vault {vault} isn't empty")));
            }
            state.vaults.remove(vault);
            Ok(())
        }))
    }

    fn put<'a>(
        &'a self,
        vault: &'a str,
        description: &'a str,
        payload: Payload,
        hash: &'a PayloadHash,
    ) -> BoxFuture<'a, Result<String>> {
        Box::pin(async move {
            let after = self.enter(Op::Put, vault).await?;
            let archive = archive(description, read(&payload, hash).await?);
            let mut state = self.lock();
            let id = state.id("archive");
            state.vault(vault)?.archives.insert(id.clone(), archive);
            after.map_or(Ok(id), Err)
        })
    }

    fn begin<'a>(&'a self, vault: &'a str, description: &'a str, part_size: u64) -> BoxFuture<'a, Result<String>> {
        Box::pin(self.call(Op::Begin, vault, move |state| {
            let limits = self.limits();
            if !part_size.is_power_of_two() || !(limits.min_part..=limits.max_part).contains(&part_size) {
                return Err(invalid(format!("{part_size} is not a part size")));
            }
            let id = state.id("upload");
            let upload = Upload { description: description.to_owned(), part_size, parts: BTreeMap::new() };
            state.vault(vault)?.uploads.insert(id.clone(), upload);
            Ok(id)
        }))
    }

    fn put_part<'a>(
        &'a self,
        vault: &'a str,
        upload_id: &'a str,
        offset: u64,
        payload: Payload,
        hash: &'a PayloadHash,
    ) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let after = self.enter(Op::PutPart, vault).await?;
            let bytes = read(&payload, hash).await?;
            let mut state = self.lock();
            let upload = state.upload(vault, upload_id)?;
            if !offset.is_multiple_of(upload.part_size) || bytes.len() as u64 > upload.part_size {
                return Err(invalid(format!("{} bytes at {offset} are not a part", bytes.len())));
            }
            upload.parts.insert(offset, bytes);
            after.map_or(Ok(()), Err)
        })
    }

    fn parts<'a>(&'a self, vault: &'a str, upload_id: &'a str) -> BoxFuture<'a, Result<Vec<Part>>> {
        Box::pin(self.call(Op::Parts, vault, move |state| {
            let part = |(offset, bytes): (&u64, &Bytes)| Part {
                range: *offset..=offset + bytes.len() as u64 - 1,
                tree_hash: treehash::tree_hash(bytes),
            };
            Ok(state.upload(vault, upload_id)?.parts.iter().map(part).collect())
        }))
    }

    fn complete<'a>(
        &'a self,
        vault: &'a str,
        upload_id: &'a str,
        size: u64,
        tree_hash: TreeHash,
    ) -> BoxFuture<'a, Result<String>> {
        Box::pin(self.call(Op::Complete, vault, move |state| {
            if let Some(id) = state.vault(vault)?.completed.get(upload_id) {
                return Ok(id.clone());
            }
            let upload = state.upload(vault, upload_id)?.clone();
            let mut bytes = Vec::new();
            for (offset, part) in &upload.parts {
                if *offset != bytes.len() as u64 {
                    return Err(invalid(format!("the part at {} is missing", bytes.len())));
                }
                bytes.extend_from_slice(part);
            }
            let archive = archive(&upload.description, bytes.into());
            if archive.bytes.len() as u64 != size || archive.tree_hash != tree_hash {
                return Err(invalid("the parts aren't what was announced"));
            }
            let id = state.id("archive");
            let vault = state.vault(vault)?;
            vault.uploads.remove(upload_id);
            vault.completed.insert(upload_id.to_owned(), id.clone());
            vault.archives.insert(id.clone(), archive);
            Ok(id)
        }))
    }

    fn abort<'a>(&'a self, vault: &'a str, upload_id: &'a str) -> BoxFuture<'a, Result<()>> {
        Box::pin(self.call(Op::Abort, vault, move |state| {
            state.upload(vault, upload_id)?;
            state.vault(vault)?.uploads.remove(upload_id);
            Ok(())
        }))
    }

    fn delete_archive<'a>(&'a self, vault: &'a str, archive_id: &'a str) -> BoxFuture<'a, Result<()>> {
        Box::pin(self.call(Op::DeleteArchive, vault, move |state| {
            state.vault(vault)?.archives.remove(archive_id);
            Ok(())
        }))
    }

    fn retention<'a>(&'a self, vault: &'a str) -> BoxFuture<'a, Result<Retention>> {
        Box::pin(self.call(Op::Retention, vault, move |state| {
            state.vault(vault)?;
            Ok(state.retention.get(vault).cloned().unwrap_or(Retention::Free))
        }))
    }

    fn request_retrieval<'a>(
        &'a self,
        vault: &'a str,
        archive_id: &'a str,
        range: Option<RangeInclusive<u64>>,
        tier: Tier,
    ) -> BoxFuture<'a, Result<String>> {
        Box::pin(self.call(Op::RequestRetrieval, vault, move |state| {
            let archive = state.vault(vault)?.archives.get(archive_id).cloned().ok_or_else(|| not_found(archive_id))?;
            let size = archive.bytes.len() as u64;
            let wanted = range.unwrap_or(0..=size - 1);
            if !treehash::is_megabyte_aligned(size, *wanted.start(), *wanted.end()) {
                return Err(invalid(format!("{wanted:?} of {size} bytes isn't megabyte aligned")));
            }
            let length = wanted.end() - wanted.start() + 1;
            let kind = JobKind::Archive { archive_id: archive_id.to_owned(), range: Some(wanted) };
            state.begin_job(vault, kind, Some(tier), Some(archive.bytes), Some(length))
        }))
    }

    fn request_inventory<'a>(&'a self, vault: &'a str) -> BoxFuture<'a, Result<String>> {
        Box::pin(self.call(Op::RequestInventory, vault, move |state| {
            if state.without_inventory.contains(vault) {
                return Err(Error::new(Kind::NotFound, false, format!("vault {vault} has no inventory yet")));
            }
            state.begin_job(vault, JobKind::Inventory, None, None, None)
        }))
    }

    fn jobs<'a>(&'a self, vault: &'a str) -> BoxStream<'a, Result<Vec<Job>>> {
        let all = self.call(Op::Jobs, vault, move |state| {
            Ok(state.vault(vault)?.jobs.values().map(|work| work.job.clone()).collect::<Vec<_>>())
        });
        let pages = all.map_ok(|jobs| {
            let pages: Vec<_> = jobs.chunks(PAGE).map(|page| Ok(page.to_vec())).collect();
            stream::iter(pages)
        });
        pages.try_flatten_stream().boxed()
    }

    fn job<'a>(&'a self, vault: &'a str, job_id: &'a str) -> BoxFuture<'a, Result<Job>> {
        Box::pin(self.call(Op::Job, vault, move |state| Ok(state.work(vault, job_id)?.job)))
    }

    fn fetch<'a>(
        &'a self,
        vault: &'a str,
        job_id: &'a str,
        range: Option<RangeInclusive<u64>>,
    ) -> BoxFuture<'a, Result<Fetched>> {
        Box::pin(self.call(Op::Fetch, vault, move |state| {
            let work = state.finished(vault, job_id)?;
            let (Some(archive), JobKind::Archive { range: Some(held), .. }) = (work.archive, work.job.kind) else {
                return Err(invalid(format!("job {job_id} is an inventory")));
            };
            let length = held.end() - held.start() + 1;
            let wanted = range.unwrap_or(0..=length - 1);
            if wanted.is_empty() || *wanted.end() >= length {
                return Err(invalid(format!("{wanted:?} of an output of {length} bytes")));
            }
            let (first, last) = (held.start() + wanted.start(), held.start() + wanted.end());
            let bytes = archive.slice(first as usize..=last as usize);
            let aligned = treehash::is_aligned(archive.len() as u64, first, last);
            let tree_hash = aligned.then(|| treehash::tree_hash(&bytes));
            let mut bytes = bytes.to_vec();
            if state.spoilt > 0 {
                state.spoilt -= 1;
                bytes[0] ^= 1;
            }
            let len = Some(bytes.len() as u64);
            let mut pieces: Vec<Result<Bytes>> =
                bytes.chunks(PIECE).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
            if state.cut > 0 {
                state.cut -= 1;
                pieces.truncate(pieces.len() / 2);
                pieces.push(Err(error(Kind::Unavailable)));
            }
            Ok(Fetched { len, tree_hash, stream: stream::iter(pieces).boxed() })
        }))
    }

    fn inventory<'a>(
        &'a self,
        vault: &'a str,
        job_id: &'a str,
    ) -> BoxFuture<'a, Result<BoxStream<'static, Result<InventoryItem>>>> {
        Box::pin(self.call(Op::Inventory, vault, move |state| {
            let work = state.finished(vault, job_id)?;
            if work.job.kind != JobKind::Inventory {
                return Err(invalid(format!("job {job_id} isn't an inventory")));
            }
            let archives = work.records.into_iter().map(|record| Ok(InventoryItem::Archive(record)));
            Ok(stream::iter([Ok(InventoryItem::Generated(work.job.created))]).chain(stream::iter(archives)).boxed())
        }))
    }
}
