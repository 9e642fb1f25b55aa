//! The mount itself: made, ended, and a dead one cleared away.
//!
//! fuser 0.18 mounts, but doesn't unmount here: its check whether a mount still exists is inverted, so that it may take
//! away somebody else's, and it can't try again when a mount is busy. We unmount by name instead, and its session object
//! is never dropped.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::mem::ManuallyDrop;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::mpsc;
use std::time::Duration;

use fuser::BackgroundSession;
use fuser::INodeNo;
use fuser::MountOption;
use fuser::Notifier;
use fuser::Session;
use fuser::SessionACL;
use nix::errno::Errno;
use nix::mount::MntFlags;
use nix::mount::MsFlags;
use tokio::sync::oneshot;

use super::adapter::Adapter;
use super::ahead::Readers;
use super::gate::Gate;
use super::listing::Cached;
use super::park::Shared;
use super::poll::Polls;
use crate::fs::Invalidate;
use crate::fs::ROOT;
use crate::util::mountinfo;
use crate::util::recall::RecallPolicy;

/// What the mount table shows as the source and, after `fuse.`, as the type.
const NAME: &str = "glacierfs";
/// Where the kernel's requests come from.
const DEVICE: &str = "/dev/fuse";

/// Who is let in; modes and owners then decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Who mounts.
    Owner,
    /// Who mounts, and root.
    Root,
    /// Everybody.
    All,
}

impl Access {
    fn acl(self) -> SessionACL {
        match self {
            Access::Owner => SessionACL::Owner,
            Access::Root => SessionACL::RootAndOwner,
            Access::All => SessionACL::All,
        }
    }
}

/// How to mount.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Who is let in at all.
    pub access: Access,
    /// Refuse writes.
    pub read_only: bool,
    /// Let no program be run from it.
    pub no_exec: bool,
    /// Threads that serve requests.
    pub threads: usize,
}

/// Why a mount failed.
#[derive(Debug, thiserror::Error)]
pub enum MountError {
    /// The mount point doesn't exist.
    #[error("mount point {} doesn't exist: make it with `mkdir -p {}`", .0.display(), .0.display())]
    Missing(PathBuf),
    /// The mount point is something else.
    #[error("mount point {} isn't a directory", .0.display())]
    NotDirectory(PathBuf),
    /// Files would be hidden.
    #[error("mount point {} isn't empty, and mounting would hide what is in it: choose an empty directory", .0.display())]
    NotEmpty(PathBuf),
    /// Something lives there already.
    #[error("{} is a mount point of {kind} already: unmount that first, or choose another directory", path.display())]
    Busy {
        /// The mount point.
        path: PathBuf,
        /// The type of what is mounted.
        kind: String,
    },
    /// The kernel would end the mount in the middle of a recall.
    #[error(
        "the kernel aborts FUSE requests after {seconds} s (sysctl {sysctl}), and with them the whole mount, but a read \
         from Glacier takes hours: set {sysctl} to 0, give --recall-timeout a shorter time than that, or take \
         --recall queue or deny"
    )]
    RequestTimeout {
        /// The sysctl's name.
        sysctl: &'static str,
        /// Its value.
        seconds: u64,
    },
    /// No FUSE on this machine.
    #[error("/dev/fuse can't be opened ({0}): load the module with `modprobe fuse`, or give the container /dev/fuse")]
    NoFuse(io::Error),
    /// The device is root's alone.
    #[error(
        "/dev/fuse is open to root only, so nobody else can mount: `chmod 666 /dev/fuse` as root, which udev does by itself"
    )]
    FuseForbidden,
    /// An administrator has to allow it first.
    #[error(
        "letting other users in (allow-other, allow-root) is refused to users other than root: the line user_allow_other \
         in /etc/fuse.conf allows it"
    )]
    OthersForbidden,
    /// The helper for users other than root isn't there.
    #[error(
        "fusermount3 doesn't start ({0}), and only it can mount for users other than root: install the package fuse3"
    )]
    NoHelper(io::Error),
    /// The helper for users other than root said no.
    #[error("{} can't be mounted: {said}", path.display())]
    Helper {
        /// The mount point.
        path: PathBuf,
        /// What it said.
        said: String,
    },
    /// Anything else.
    #[error("{}: {source}", path.display())]
    Io {
        /// The mount point.
        path: PathBuf,
        /// What went wrong.
        source: io::Error,
    },
}

/// A live mount.
pub struct Mounted {
    session: ManuallyDrop<BackgroundSession>,
    gate: Arc<Gate>,
}

impl Mounted {
    /// Tells the kernel of changes that didn't come through it. What this returns never waits: a thread of its own does,
    /// since the kernel may hold what it needs for that until a request is answered.
    pub fn invalidator(&self) -> impl Fn(&Invalidate) + Send + Sync + 'static {
        let (notifier, gate) = (self.session.notifier(), self.gate.clone());
        let (sender, receiver) = mpsc::channel::<Invalidate>();
        std::thread::spawn(move || {
            for what in receiver {
                if matches!(what, Invalidate::Entry { parent: ROOT, .. }) {
                    gate.pass();
                }
                if let Err(error) = tell(&notifier, &what) {
                    log::debug!("the kernel wasn't told of {what:?}: {error}");
                }
            }
        });
        move |what| {
            // The thread ends only with the sender.
            let _ = sender.send(what.clone());
        }
    }
}

fn tell(notifier: &Notifier, what: &Invalidate) -> io::Result<()> {
    match what {
        // The directory's listing is cached with its inode.
        Invalidate::Entry { parent, name } => notifier
            .inval_entry(INodeNo(*parent), OsStr::from_bytes(name))
            .and_then(|()| notifier.inval_inode(INodeNo(*parent), 0, 0)),
        Invalidate::Inode(ino) => notifier.inval_inode(INodeNo(*ino), 0, 0),
    }
}

/// Mounts at `mountpoint`. The receiver hears when the mount has ended, for whatever reason.
///
/// # Errors
/// [`MountError`], each with what to do about it.
pub fn mount(
    mountpoint: &Path,
    options: Options,
    shared: Arc<Shared>,
) -> Result<(Mounted, oneshot::Receiver<()>), MountError> {
    check_mountpoint(mountpoint)?;
    if shared.policy == RecallPolicy::Wait {
        check_request_timeout(shared.recall_timeout)?;
    }
    fs::File::options().read(true).write(true).open(DEVICE).map_err(|error| match error.kind() {
        io::ErrorKind::PermissionDenied if !nix::unistd::geteuid().is_root() => MountError::FuseForbidden,
        _ => MountError::NoFuse(error),
    })?;
    let mut config = fuser::Config::default();
    config.mount_options = vec![
        MountOption::FSName(NAME.into()),
        MountOption::Subtype(NAME.into()),
        MountOption::DefaultPermissions,
        MountOption::NoDev,
        MountOption::NoSuid,
    ];
    if options.read_only {
        config.mount_options.push(MountOption::RO);
    }
    if options.no_exec {
        config.mount_options.push(MountOption::NoExec);
    }
    config.acl = options.access.acl();
    config.n_threads = Some(options.threads);
    let (ended, receiver) = oneshot::channel();
    let notifier = Arc::new(OnceLock::new());
    let gate = Arc::new(Gate::default());
    let adapter = Adapter {
        readers: Readers::new(shared.recall.window() / 2),
        shared,
        polls: Polls::default(),
        cached: Cached::default(),
        notifier: notifier.clone(),
        gate: gate.clone(),
        ended: Some(ended),
    };
    let io = |source| MountError::Io { path: mountpoint.to_path_buf(), source };
    let session = match nix::unistd::geteuid().is_root() {
        true => attach(mountpoint, options, config, adapter).map_err(io)?,
        false => Session::new(adapter, mountpoint, &config).map_err(|error| refused(mountpoint, error))?,
    };
    // It is the first.
    let _ = notifier.set(session.notifier());
    let session = ManuallyDrop::new(session.spawn().map_err(io)?);
    Ok((Mounted { session, gate }, receiver))
}

/// What a failure of fusermount3 means; fuser makes an error of what it said.
fn refused(mountpoint: &Path, error: io::Error) -> MountError {
    let said = error.to_string();
    match error.kind() {
        io::ErrorKind::NotFound => MountError::NoHelper(error),
        _ if said.contains("user_allow_other") => MountError::OthersForbidden,
        _ => {
            let said = said.trim().trim_start_matches("fusermount3: ").to_owned();
            MountError::Helper { path: mountpoint.to_path_buf(), said }
        }
    }
}

/// Mounts as root, without a helper. fuser could too, but forgets the subtype, by which mounts of ours are known.
fn attach(
    mountpoint: &Path,
    options: Options,
    config: fuser::Config,
    adapter: Adapter,
) -> io::Result<Session<Adapter>> {
    let device = fs::File::options().read(true).write(true).open(DEVICE)?;
    let mountpoint = fs::canonicalize(mountpoint)?;
    let (user, group) = (nix::unistd::getuid(), nix::unistd::getgid());
    let mut data =
        format!("fd={},rootmode=40000,user_id={user},group_id={group},default_permissions", device.as_raw_fd());
    // The kernel has no word for root alone; fuser turns the others away.
    if options.access != Access::Owner {
        data.push_str(",allow_other");
    }
    let mut flags = MsFlags::MS_NODEV | MsFlags::MS_NOSUID;
    if options.read_only {
        flags |= MsFlags::MS_RDONLY;
    }
    if options.no_exec {
        flags |= MsFlags::MS_NOEXEC;
    }
    let kind = format!("fuse.{NAME}");
    nix::mount::mount(Some(NAME), &mountpoint, Some(kind.as_str()), flags, Some(data.as_str()))?;
    let acl = config.acl;
    Session::from_fd(adapter, device.into(), acl, config).inspect_err(|_| {
        // Nothing serves it: a name that only hangs is worse than none.
        let _ = unmount(&mountpoint, true);
    })
}

/// Ends the mount at `mountpoint`. With `lazily`, also one that is in use: its name goes at once, and whoever has files
/// open keeps them until the daemon ends.
pub fn unmount(mountpoint: &Path, lazily: bool) -> io::Result<()> {
    let flags = if lazily { MntFlags::MNT_DETACH } else { MntFlags::empty() };
    match nix::mount::umount2(mountpoint, flags) {
        // Not root: the helper that mounted is allowed to unmount.
        Err(Errno::EPERM) => {
            let mut helper = Command::new("fusermount3");
            helper.arg("-u");
            if lazily {
                helper.arg("-z");
            }
            let output = helper.arg("--").arg(mountpoint).output()?;
            match output.status.success() {
                true => Ok(()),
                false => Err(io::Error::other(String::from_utf8_lossy(&output.stderr).trim().to_owned())),
            }
        }
        other => Ok(other?),
    }
}

/// Takes away what a daemon that died left at `mountpoint` ("Transport endpoint is not connected"), and answers whether
/// there was something.
pub fn clear_stale(mountpoint: &Path) -> io::Result<bool> {
    let dead = mountinfo::is_dead(mountpoint);
    if dead {
        unmount(mountpoint, true)?;
    }
    Ok(dead)
}

fn check_mountpoint(path: &Path) -> Result<(), MountError> {
    let io = |source| MountError::Io { path: path.to_path_buf(), source };
    match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(MountError::Missing(path.to_path_buf())),
        Err(error) => return Err(io(error)),
        Ok(meta) if !meta.is_dir() => return Err(MountError::NotDirectory(path.to_path_buf())),
        Ok(_) => {}
    }
    if let Some(kind) = mounted_type(path).map_err(io)? {
        return Err(MountError::Busy { path: path.to_path_buf(), kind });
    }
    match fs::read_dir(path).map_err(io)?.next() {
        None => Ok(()),
        Some(_) => Err(MountError::NotEmpty(path.to_path_buf())),
    }
}

/// The type of the FUSE file system that is mounted exactly at `path`. (An empty ext4 or tmpfs is a fine place to mount;
/// what FUSE serves is alive and somebody's.)
fn mounted_type(path: &Path) -> io::Result<Option<String>> {
    let path = fs::canonicalize(path)?;
    let found = mountinfo::mounts()?.into_iter().rev().find(|mount| mount.mountpoint == path);
    Ok(found.map(|mount| mount.file_system).filter(|kind| kind.starts_with("fuse")))
}

/// Refuses to mount where the kernel would abort the mount before a recall can end.
fn check_request_timeout(recall_timeout: Option<Duration>) -> Result<(), MountError> {
    const SYSCTLS: [(&str, &str); 2] = [
        ("fs.fuse.default_request_timeout", "/proc/sys/fs/fuse/default_request_timeout"),
        ("fs.fuse.max_request_timeout", "/proc/sys/fs/fuse/max_request_timeout"),
    ];
    for (sysctl, file) in SYSCTLS {
        let seconds = fs::read_to_string(file).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0);
        let short = recall_timeout.is_none_or(|timeout| timeout >= Duration::from_secs(seconds));
        if seconds > 0 && short {
            return Err(MountError::RequestTimeout { sysctl, seconds });
        }
    }
    Ok(())
}
