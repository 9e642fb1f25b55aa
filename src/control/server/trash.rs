//! The trash: listed, given back, emptied, a page a request.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use axum::Json;
use axum::extract::State;
use jiff::Timestamp;

use super::Daemon;
use super::Server;
use super::answer::Body;
use super::answer::Failure;
use super::answer::blocking;
use super::paths;
use super::tree;
use crate::catalog;
use crate::catalog::BILLED;
use crate::catalog::Place;
use crate::catalog::Position;
use crate::catalog::Trashed;
use crate::catalog::VaultId;
use crate::catalog::now;
use crate::control::wire;
use crate::control::wire::Next;
use crate::control::wire::PathText;
use crate::service::Retention;
use crate::util::size::GIB;
use crate::vault;

/// How many things a page of a listing has.
const PAGE: usize = 1000;
/// How many archives a request deletes: each takes the service a moment.
const PURGED: usize = 100;
/// How long a request gives things back before it answers.
const TURN: Duration = Duration::from_secs(1);
/// How long to wait for the kernel to let go of directories that were deleted just now.
const SETTLES: Duration = Duration::from_secs(2);
/// A day, in nanoseconds.
const DAY: i64 = 24 * 3600 * 1_000_000_000;

/// A part of the trash: what was at a path of a vault, or below it.
struct Part {
    vault: VaultId,
    name: String,
    path: Vec<u8>,
}

/// The parts that are meant.
fn parts(daemon: &Daemon, paths: &[PathText]) -> Result<Vec<Part>, Failure> {
    if paths.is_empty() || paths.iter().any(tree::is_root) {
        let vaults = daemon.catalog.vaults()?.into_iter();
        return Ok(vaults.map(|vault| Part { vault: vault.id, name: vault.name, path: Vec::new() }).collect());
    }
    let outermost = tree::outermost(&paths.iter().collect::<Vec<_>>());
    let meant = paths.iter().filter(|path| outermost.contains(path));
    meant
        .map(|path| {
            let components: Vec<&[u8]> = tree::components(path).collect();
            let name = String::from_utf8_lossy(components.first().copied().unwrap_or_default()).into_owned();
            let vault = daemon.vaults.known(&name)?;
            Ok(Part { vault: vault.id, name, path: components.get(1..).unwrap_or_default().join(&b'/') })
        })
        .collect()
}

/// Up to `limit` things that are meant, and where to go on.
fn page(daemon: &Daemon, what: &wire::Trashes, limit: usize) -> Result<(Vec<Trashed>, Option<Next>), Failure> {
    let now = now();
    let (after, before) = window(what);
    let is_meant = |trashed: &Trashed| {
        (after..=before).contains(&trashed.deleted) && (!what.due || trashed.due <= now && trashed.due < i64::MAX)
    };
    if !what.ids.is_empty() {
        return Ok((by_number(daemon, what)?, None));
    }
    let parts = parts(daemon, &what.paths)?;
    let mut found = Vec::new();
    let start = what.next.as_ref();
    for (number, part) in parts.iter().enumerate().skip(start.map_or(0, |next| next.part)) {
        let mut position = start.filter(|next| next.part == number).and_then(|next| {
            let path = next.path.as_ref()?.0.clone();
            Some(Position { path, deleted: next.deleted, ino: next.id })
        });
        loop {
            let batch = daemon.catalog.trash_below(part.vault, &part.path, position.as_ref(), limit)?;
            let Some(last) = batch.last() else { break };
            position = Some(last.position());
            for trashed in batch.into_iter().filter(is_meant) {
                let Position { path, deleted, ino } = trashed.position();
                found.push(trashed);
                if found.len() >= limit {
                    let next = Next { run: now, part: number, path: Some(PathText(path)), deleted, id: ino };
                    return Ok((found, Some(next)));
                }
            }
        }
    }
    Ok((found, None))
}

fn by_number(daemon: &Daemon, what: &wire::Trashes) -> Result<Vec<Trashed>, Failure> {
    let mut found = Vec::new();
    for id in &what.ids {
        let missing = || Failure::not_found(format!("there is no number {id} in the trash"));
        found.push(daemon.catalog.trashed(*id)?.ok_or_else(missing)?);
    }
    Ok(found)
}

/// The time within which something was deleted that is meant.
fn window(what: &wire::Trashes) -> (i64, i64) {
    let nanos = |time: Timestamp| time.as_nanosecond().clamp(i64::MIN.into(), i64::MAX.into()) as i64;
    (what.after.map_or(i64::MIN, nanos), what.before.map_or(i64::MAX, nanos))
}

pub(super) async fn list(
    State(server): State<Arc<Server>>,
    Body(what): Body<wire::Trashes>,
) -> Result<Json<wire::TrashPage>, Failure> {
    let daemon = server.daemon.clone();
    let (found, next) = blocking(move || page(&daemon, &what, PAGE)).await?;
    let mut retentions = HashMap::new();
    for trashed in found.iter().filter(|trashed| trashed.archive.is_some()) {
        if !retentions.contains_key(&trashed.vault) {
            let retention = server.daemon.vaults.retention(&trashed.vault).await;
            retentions.insert(trashed.vault.clone(), retention);
        }
    }
    let now = now();
    let entries = found.into_iter().map(|one| told(one, &retentions, now)).collect();
    Ok(Json(wire::TrashPage { entries, next }))
}

fn told(trashed: Trashed, retentions: &HashMap<String, Option<Retention>>, now: i64) -> wire::Trashed {
    let inode = &trashed.inode;
    let billed = trashed.archive.as_ref().map_or(0, |archive| {
        let until = archive.created.saturating_add(BILLED.as_nanos() as i64);
        until.saturating_sub(now).clamp(0, BILLED.as_nanos() as i64)
    });
    // A part of a day is billed as one.
    let billed_days = u32::try_from(billed.unsigned_abs().div_ceil(DAY.unsigned_abs())).unwrap_or(u32::MAX);
    let (mut locked_until, mut lock) = (None, None);
    if let Some(archive) = &trashed.archive {
        match retentions.get(&trashed.vault) {
            Some(Some(Retention::Days(days))) => {
                let until = vault::after_days(archive.created, *days);
                locked_until = (until > now).then(|| paths::timestamp(until));
            }
            Some(Some(Retention::Unknown(reason))) => lock = Some(reason.clone()),
            _ => {}
        }
    }
    wire::Trashed {
        id: inode.ino,
        path: shown(&trashed.vault, &trashed.path),
        kind: paths::kind(inode.kind()),
        size: inode.size,
        mode: inode.mode,
        mtime: paths::timestamp(inode.mtime),
        deleted: paths::timestamp(trashed.deleted),
        due: (trashed.due < i64::MAX).then(|| paths::timestamp(trashed.due)),
        archive_id: trashed.archive.as_ref().map(|archive| archive.archive_id.clone()),
        going: trashed.going,
        billed_days,
        billed_gib_months: inode.size as f64 / GIB as f64 * f64::from(billed_days) / 30.0,
        locked_until,
        lock,
        error: trashed.error,
    }
}

fn shown(vault: &str, path: &[u8]) -> PathText {
    match path {
        [] => PathText(vault.as_bytes().to_vec()),
        _ => PathText([vault.as_bytes(), b"/", path].concat()),
    }
}

pub(super) async fn purge(
    State(server): State<Arc<Server>>,
    Body(what): Body<wire::Trashes>,
) -> Result<Json<wire::Purged>, Failure> {
    let daemon = server.daemon.clone();
    let (found, next) = blocking(move || page(&daemon, &what, PURGED)).await?;
    let purged = server.daemon.vaults.purge(&found).await?;
    if let Some(error) = purged.broken {
        return Err(vault::Error::Service(error).into());
    }
    let mut answer = wire::Purged { entries: purged.gone.len() as u64, next, ..wire::Purged::default() };
    for trashed in &found {
        let ino = trashed.inode.ino;
        if purged.gone.contains(&ino) {
            answer.bytes += trashed.archive.as_ref().map_or(0, |archive| archive.size);
        }
        if let Some((_, reason)) = purged.refused.iter().find(|(refused, _)| *refused == ino) {
            let path = shown(&trashed.vault, &trashed.path);
            answer.failed.push(wire::Failure { path, reason: reason.clone(), retrying: false });
        }
    }
    Ok(Json(answer))
}

pub(super) async fn restore(
    State(server): State<Arc<Server>>,
    Body(request): Body<wire::PutBack>,
) -> Result<Json<wire::CameBack>, Failure> {
    let daemon = server.daemon.clone();
    Ok(Json(blocking(move || put_back(&daemon, &request)).await?))
}

fn put_back(daemon: &Daemon, request: &wire::PutBack) -> Result<wire::CameBack, Failure> {
    let what = &request.what;
    let run = what.next.as_ref().map_or_else(now, |next| next.run);
    let mut back = Back { daemon, request, run, answer: wire::CameBack::default() };
    if !what.ids.is_empty() {
        for trashed in by_number(daemon, what)? {
            let base = parent(&trashed.path).to_vec();
            let part = Part {
                vault: daemon.vaults.known(&trashed.vault)?.id,
                name: trashed.vault.clone(),
                path: trashed.path.clone(),
            };
            back.give(&part, &base, &[trashed])?;
        }
        return Ok(back.answer);
    }
    let parts = parts(daemon, &what.paths)?;
    if what.next.is_none() {
        wait_for_the_kernel(daemon, &parts)?;
    }
    let started = Instant::now();
    for (number, part) in parts.iter().enumerate().skip(what.next.as_ref().map_or(0, |next| next.part)) {
        let mut at = what.next.as_ref().filter(|next| next.part == number).and_then(|next| Some(next.path.clone()?.0));
        let mut found_any = at.is_some();
        loop {
            let (batch, last) = back.batch(part, at)?;
            found_any |= !batch.is_empty();
            back.give(part, parent(&part.path), &batch)?;
            at = last;
            if at.is_none() {
                break;
            }
            if started.elapsed() > TURN {
                back.answer.next =
                    Some(Next { run, part: number, path: at.map(PathText), deleted: i64::MAX, id: u64::MAX >> 1 });
                return Ok(back.answer);
            }
        }
        if !found_any && !what.paths.is_empty() {
            let reason = "nothing of it is in the trash".to_owned();
            back.answer.failed.push(wire::Failure { path: shown(&part.name, &part.path), reason, retrying: false });
        }
    }
    Ok(back.answer)
}

/// The kernel tells a moment later that it has no use any more for a directory or link that was deleted; only then it is in
/// the trash. What somebody still stands in can't be waited for.
fn wait_for_the_kernel(daemon: &Daemon, parts: &[Part]) -> Result<(), Failure> {
    let started = Instant::now();
    for part in parts {
        while daemon.catalog.awaits_trash(part.vault, &part.path)? && started.elapsed() < SETTLES {
            std::thread::sleep(Duration::from_millis(10));
        }
    }
    Ok(())
}

/// The directory of a path; empty for the vault's.
fn parent(path: &[u8]) -> &[u8] {
    path.iter().rposition(|byte| *byte == b'/').map_or(&[], |slash| &path[..slash])
}

/// What follows directory `base` (empty: the vault's) in `path`, if that is below it.
fn relative<'a>(path: &'a [u8], base: &[u8]) -> Option<&'a [u8]> {
    match base {
        [] => Some(path),
        _ => path.strip_prefix(base)?.strip_prefix(b"/"),
    }
}

/// Gives things back, and counts them.
struct Back<'a> {
    daemon: &'a Daemon,
    request: &'a wire::PutBack,
    run: i64,
    answer: wire::CameBack,
}

impl Back<'_> {
    /// The wanted versions of the next paths of `part` after `at`, and the last of these paths; none: there are no more.
    fn batch(&self, part: &Part, mut at: Option<Vec<u8>>) -> Result<(Vec<Trashed>, Option<Vec<u8>>), Failure> {
        let catalog = &self.daemon.catalog;
        let newer = self.request.version.unwrap_or(1).saturating_sub(1);
        let mut batch = Vec::new();
        for _ in 0..tree::BATCH {
            let Some(path) = catalog.next_trashed_path(part.vault, &part.path, at.as_deref())? else {
                return Ok((batch, None));
            };
            // What never had a name wasn't deleted by anybody; its number brings it back.
            if !path.is_empty() {
                batch.extend(catalog.trashed_version(part.vault, &path, window(&self.request.what), newer)?);
            }
            at = Some(path);
        }
        Ok((batch, at))
    }

    fn give(&mut self, part: &Part, base: &[u8], batch: &[Trashed]) -> Result<(), Failure> {
        let to = self.directory(part)?;
        let is_meant = |path: &[u8]| path == part.path || relative(path, &part.path).is_some();
        let target = |path: &[u8]| match &to {
            // A thing without a path is put where its archive's ID names it, wherever that is.
            _ if !part.path.is_empty() && !is_meant(path) => None,
            None => Some(path.to_vec()),
            Some(to) => {
                let path = relative(path, base)?;
                Some(if to.is_empty() { path.to_vec() } else { [to.as_slice(), b"/", path].concat() })
            }
        };
        let how = catalog::PutBack { to: &target, beside: self.request.beside, run: self.run };
        let inos: Vec<_> = batch.iter().map(|trashed| trashed.inode.ino).collect();
        let places = self.daemon.fs.put_back(&inos, &how).map_err(Failure::internal)?;
        for (trashed, place) in batch.iter().zip(places) {
            let asked_for = !self.request.what.ids.is_empty() || trashed.path == part.path;
            let failure = match place {
                Place::Back { changed, .. } => {
                    self.answer.entries += 1;
                    if trashed.archive.is_some() {
                        self.answer.files += 1;
                        self.answer.bytes += trashed.inode.size;
                    }
                    for (parent, name) in changed {
                        self.daemon.vaults.changed(parent, &name);
                    }
                    continue;
                }
                Place::There | Place::Gone => continue,
                Place::Taken if !asked_for => {
                    self.answer.left += 1;
                    continue;
                }
                Place::Taken => {
                    "something is there now: --beside gives it a name beside that, --to another directory".to_owned()
                }
                Place::InTheWay(path) => {
                    format!("{} isn't a directory now", shown(&part.name, &path))
                }
                Place::Going => "its archive is being deleted".to_owned(),
            };
            let path = shown(&trashed.vault, &trashed.path);
            self.answer.failed.push(wire::Failure { path, reason: failure, retrying: false });
        }
        Ok(())
    }

    /// The path in the vault of the directory that things are to be put in, if that isn't the one they were in.
    fn directory(&self, part: &Part) -> Result<Option<Vec<u8>>, Failure> {
        let Some(to) = &self.request.to else { return Ok(None) };
        let components: Vec<&[u8]> = tree::components(to).collect();
        let (vault, rest) = components.split_first().map_or((&b""[..], &[][..]), |(vault, rest)| (*vault, rest));
        if vault != part.name.as_bytes() {
            let (to, vault) = (to.encode(), &part.name);
            return Err(Failure::invalid(format!(
                "{to:?} isn't in vault {vault}, and what was in a vault stays in it"
            )));
        }
        if rest.iter().any(|name| matches!(name, &b"." | &b"..") || name.len() > crate::fs::NAME_MAX) {
            return Err(Failure::invalid(format!("{:?} is no path for a directory", to.encode())));
        }
        Ok(Some(rest.join(&b'/')))
    }
}
