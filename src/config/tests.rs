//! Tests of the whole room: precedence, derived values, refusals.

use std::ffi::OsString;
use std::time::Duration;

use super::*;
use crate::util::size::GIB;
use crate::util::size::MIB;

/// Inputs under a test's control: nothing of the surroundings leaks in.
struct Case {
    directory: tempfile::TempDir,
    flags: Vec<(String, String)>,
    options: &'static str,
    environment: Vec<(OsString, OsString)>,
    named: bool,
    root: bool,
}

fn case() -> Case {
    Case {
        directory: tempfile::tempdir().expect("a temporary directory"),
        flags: Vec::new(),
        options: "",
        environment: vec![("HOME".into(), "/home/someone".into())],
        named: true,
        root: false,
    }
}

impl Case {
    fn flag(mut self, key: &str, value: &str) -> Self {
        self.flags.push((key.to_owned(), value.to_owned()));
        self
    }

    fn variable(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    fn file(self, name: &str, text: &str) -> Self {
        std::fs::write(self.directory.path().join(name), text).expect("a written file");
        self
    }

    fn gather(&self) -> Result<Gathered, Error> {
        let file = self.directory.path().join("given.toml");
        let options = MountOptions::parse([self.options]);
        Gathered::new(&Inputs {
            flags: self.flags.clone(),
            options: options.settings,
            file: options.file.or(Some(file).filter(|file| self.named && file.exists())),
            environment: self.environment.clone(),
            directory: self.directory.path().to_owned(),
            root: self.root,
            profile_region: &|profile| (profile == Some("work")).then(|| "eu-north-1".to_owned()),
        })
    }

    fn config(&self) -> Config {
        self.gather().and_then(|gathered| gathered.config()).expect("a valid configuration")
    }

    fn error(&self) -> String {
        let result = self.gather().and_then(|gathered| gathered.config());
        result.expect_err("a refused configuration").to_string()
    }

    fn source(&self, key: &str) -> String {
        let gathered = self.gather().expect("valid settings");
        let entry = gathered.entries().find(|entry| entry.setting.key == key).expect("a setting of the table");
        entry.source.to_string()
    }
}

/// Promise: flag beats `-o`, `-o` beats variable, variable beats file, file beats default; and each says where it is from.
#[test]
fn precedence() {
    let base = || case().flag("mountpoint", "/mnt/vaults").flag("local", "/srv/vaults");
    let default = base();
    assert_eq!((default.config().uploads, default.source("uploads").as_str()), (8, "default"));
    let file = base().file("given.toml", "# how many\nuploads = 3\n");
    assert_eq!(file.config().uploads, 3);
    assert!(file.source("uploads").ends_with("given.toml:2"), "{}", file.source("uploads"));
    let variable = file.variable("GLACIERFS_UPLOADS", "4");
    assert_eq!((variable.config().uploads, variable.source("uploads").as_str()), (4, "GLACIERFS_UPLOADS"));
    let option = Case { options: "rw,uploads=9,uploads=5,_netdev,x-systemd.automount", ..variable };
    assert_eq!((option.config().uploads, option.source("uploads").as_str()), (5, "-o uploads"));
    let flag = option.flag("uploads", "6");
    assert_eq!((flag.config().uploads, flag.source("uploads").as_str()), (6, "--uploads"));
}

/// Promise: the defaults are the documented ones, typed, in bytes and durations.
#[test]
fn defaults() {
    let config = case().flag("mountpoint", "/mnt/vaults").flag("local", "/srv/vaults").config();
    assert_eq!(config.cache_size, 10 * GIB);
    assert_eq!(config.spool_reserve, 256 * MIB);
    assert_eq!(config.recall_window, GIB);
    assert_eq!((config.recall_timeout, config.part_size, config.recall), (None, None, RecallPolicy::Wait));
    assert_eq!((config.upload_delay, config.drain_timeout), (Duration::from_secs(10), Duration::from_secs(60)));
    assert_eq!(config.trash_keep, Duration::from_secs(30 * 86400));
    assert_eq!((config.tier, config.account.as_str(), config.region.as_str()), (Tier::Standard, "-", "us-east-1"));
    assert_eq!((config.threads, config.allow_other, config.read_only), (2, false, false));
    for setting in SETTINGS {
        if let Default::Fixed(value) = setting.default {
            let values = if setting.kind == Kind::List { value.split(',').collect() } else { vec![value] };
            assert!(values.into_iter().all(setting.check), "the default of {} isn't allowed", setting.key);
        }
    }
}

/// Promise: the state directory follows from who mounts and the name; the name from the mount point.
#[test]
fn name_and_state_are_derived() {
    let user = case().flag("mountpoint", "/mnt/vaults").flag("local", "/srv/vaults");
    assert_eq!(user.config().name, "mnt-vaults");
    assert_eq!(user.config().state, PathBuf::from("/home/someone/.local/state/glacierfs/mnt-vaults"));
    let xdg = user.variable("XDG_STATE_HOME", "/data/state").flag("name", "photos");
    assert_eq!(xdg.config().state, PathBuf::from("/data/state/glacierfs/photos"));
    let root = Case { root: true, ..xdg };
    assert_eq!(root.config().state, PathBuf::from("/var/lib/glacierfs/photos"));
    let odd = case().flag("mountpoint", "/mnt/a b/ü").flag("local", "/srv/vaults");
    assert_eq!(odd.config().name, "mnt-a_b-_");
}

/// Promise: `NAME.toml` of the configuration directory is found by the name, given or derived, unless another is named.
#[test]
fn the_file_is_found_by_name() {
    let by_mountpoint = case().flag("mountpoint", "/mnt/vaults").file("mnt-vaults.toml", "local = \"/srv/a\"");
    assert_eq!(by_mountpoint.config().local, Some(PathBuf::from("/srv/a")));
    let by_name = by_mountpoint.flag("name", "photos").file("photos.toml", "local = \"/srv/b\"");
    assert_eq!(by_name.config().local, Some(PathBuf::from("/srv/b")));
    let named = by_name.file("given.toml", "local = \"/srv/c\"");
    assert_eq!(named.config().local, Some(PathBuf::from("/srv/c")));
    let absent = Case { options: "config=/nonexistent/x.toml", ..named };
    assert!(
        absent.error().starts_with("/nonexistent/x.toml: the configuration file can't be read"),
        "{}",
        absent.error()
    );
}

/// Promise: the region comes from the flag, AWS's variables or the profile, in that order; without one the error says how.
#[test]
fn region_sources() {
    let none = case().flag("mountpoint", "/mnt/vaults");
    let message = none.error();
    for way in ["--region", "AWS_REGION", "AWS_DEFAULT_REGION", "profile", "--local"] {
        assert!(message.contains(way), "{message}");
    }
    let profile = none.flag("profile", "work");
    assert_eq!(
        (profile.config().region.as_str(), profile.source("region").as_str()),
        ("eu-north-1", "AWS profile work")
    );
    let variable = profile.variable("AWS_DEFAULT_REGION", "us-west-2");
    assert_eq!(
        (variable.config().region.as_str(), variable.source("region").as_str()),
        ("us-west-2", "AWS_DEFAULT_REGION")
    );
    let flag = variable.flag("region", "sa-east-1");
    assert_eq!((flag.config().region.as_str(), flag.source("region").as_str()), ("sa-east-1", "--region"));
}

/// Promise: settings that exclude each other are refused, naming both.
#[test]
fn conflicts() {
    let both =
        case().flag("mountpoint", "/mnt/v").flag("local", "/srv/v").variable("GLACIERFS_ENDPOINT", "http://[::1]:1");
    assert!(both.error().starts_with("GLACIERFS_ENDPOINT: endpoint can't go with local (--local)"), "{}", both.error());
    let told = case().flag("mountpoint", "/mnt/v").flag("local", "/srv/v").flag("notify", "sqs:done");
    assert!(told.error().starts_with("--notify: notify can't go with local (--local)"), "{}", told.error());
    let remote = case().flag("mountpoint", "/mnt/v").flag("region", "eu-west-1").flag("retrieval-delay", "bulk=1s");
    assert!(
        remote.error().starts_with("--retrieval-delay: retrieval-delay is the embedded endpoint's"),
        "{}",
        remote.error()
    );
}

/// Promise: an unknown key is refused wherever it stands, with the nearest one spelled as that place spells it.
#[test]
fn unknown_keys() {
    let variable = case().variable("GLACIERFS_CACH_SIZE", "1G");
    assert_eq!(
        variable.error(),
        "environment: there is no setting \"GLACIERFS_CACH_SIZE\"; did you mean \"GLACIERFS_CACHE_SIZE\"?"
    );
    let option = Case { options: "allow_othr", ..case() };
    assert_eq!(option.error(), "-o allow_othr: there is no setting \"allow_othr\"; did you mean \"allow_other\"?");
    let harmless = case().flag("mountpoint", "/mnt/v").flag("local", "/srv/v");
    let harmless = harmless.variable("GLACIERFS_READY_FD", "3").variable("PATH", "/bin");
    assert_eq!(harmless.config().name, "mnt-v");
}

/// Promise: options as mount(8), fstab and other FUSE file systems have them are understood, borne, or refused with the reason.
#[test]
fn options_as_people_know_them() {
    let base = || case().flag("mountpoint", "/mnt/v").flag("local", "/srv/v");
    let known = "ro,noexec,uid=1000,gid=100,umask=027,dmask=0,allow_root";
    let config = Case { options: known, ..base() }.config();
    assert_eq!((config.read_only, config.noexec, config.allow_root), (true, true, true));
    assert_eq!((config.uid, config.gid), (Some(1000), Some(100)));
    assert_eq!((config.umask, config.fmask, config.dmask), (Some(0o027), None, Some(0)));
    assert!(!Case { options: "noexec,exec", ..base() }.config().noexec, "the last one counts");
    let borne =
        "rw,exec,defaults,user=me,noauto,nofail,_netdev,nodev,nosuid,noatime,relatime,x-gvfs-hide,default_permissions";
    let config = Case { options: borne, ..base() }.config();
    assert_eq!((config.read_only, config.noexec, config.uid, config.umask), (false, false, None, None));
    for (option, reason) in
        [("suid", "every mount is nosuid"), ("dev", "every mount is nodev"), ("remount,ro", "unmount it")]
    {
        let message = Case { options: option, ..base() }.error();
        assert!(message.starts_with("-o ") && message.contains(reason), "{message}");
    }
    let message = Case { options: "umsk=022", ..base() }.error();
    assert!(message.contains("did you mean \"umask\"?"), "{message}");
    let message = Case { options: "allow_root,allow_other", ..base() }.error();
    assert!(message.contains("take one of them"), "{message}");
}

/// Promise: every setting refuses a bad value with its place, the value and what is allowed.
#[test]
fn bad_values() {
    for (key, value) in [
        ("name", "a/b"),
        ("name", ""),
        ("mountpoint", "/"),
        ("region", "EU Central"),
        ("endpoint", "ftp://example.com"),
        ("endpoint", "localhost:8210"),
        ("account", "123"),
        ("cache-size", "ten"),
        ("cache-low", "most"),
        ("recall-window", "3M"),
        ("recall-window", "512K"),
        ("recall-timeout", "10"),
        ("recall-timeout", "0"),
        ("tier", "fast"),
        ("notify", "done"),
        ("notify", "sqs:done.fifo"),
        ("recall", "later"),
        ("upload-delay", "-1s"),
        ("uploads", "0"),
        ("uploads", "65"),
        ("part-size", "8G"),
        ("threads", "17"),
        ("allow-other", "maybe"),
        ("uid", "alice"),
        ("gid", "4294967295"),
        ("umask", "1000"),
        ("fmask", "rwx"),
        ("dmask", "0o22"),
        ("dmask", "+22"),
        ("retrieval-delay", "standard"),
        ("retrieval-delay", "quick=5s"),
        ("log", "inof"),
        ("log", "glacierfs=loud"),
    ] {
        let message = case().flag(key, value).error();
        let setting = SETTINGS.iter().find(|setting| setting.key == key).expect("a setting of the table");
        let at = if key == "mountpoint" { "MOUNTPOINT".to_owned() } else { format!("--{key}") };
        let expected = format!("{at}: {value:?} is not allowed for {key}: allowed is {}", setting.allowed);
        assert_eq!(message, expected);
    }
    let file = case().file("given.toml", "\n\nuploads = 100\n").error();
    assert!(file.contains("given.toml:3: \"100\" is not allowed for uploads: allowed is"), "{file}");
    let long = format!("/tmp/{}", "x".repeat(90));
    let message = case().flag("mountpoint", "/mnt/v").flag("local", "/srv/v").flag("state", &long).error();
    assert!(message.contains("at most 94 bytes long"), "{message}");
}

/// Promise: the cache's low water is nine tenths of its high water unless it is set, and never above it.
#[test]
fn water_marks() {
    let base = || case().flag("mountpoint", "/mnt/v").flag("local", "/srv/v");
    assert_eq!(base().config().cache_low, 10 * GIB - GIB);
    assert_eq!(base().flag("cache-size", "1000").config().cache_low, 900);
    assert_eq!(base().flag("cache-size", "1M").flag("cache-low", "1M").config().cache_low, 1 << 20);
    let message = base().flag("cache-size", "1M").flag("cache-low", "2M").error();
    assert!(
        message.starts_with("--cache-low: \"2M\" is not allowed") && message.contains("not above cache-size"),
        "{message}"
    );
}

/// Promise: lists come as repeated flags, with commas, or as a TOML array, and a greater source replaces a lesser one's.
#[test]
fn lists() {
    let base = || case().flag("mountpoint", "/mnt/v").flag("local", "/srv/v");
    let file = base().file("given.toml", "retrieval-delay = [\"standard=5s\", \"bulk=0s\"]");
    assert_eq!(file.config().retrieval_delay, ["standard=5s", "bulk=0s"]);
    let variable = file.variable("GLACIERFS_RETRIEVAL_DELAY", "standard=5s, expedited=1s");
    assert_eq!(variable.config().retrieval_delay, ["standard=5s", "expedited=1s"]);
    let flags = variable.flag("retrieval-delay", "all=5s").flag("retrieval-delay", "Bulk=1h 30m");
    assert_eq!(flags.config().retrieval_delay, ["all=5s", "Bulk=1h 30m"]);
}

/// Promise: the mount point is the path that the kernel's mount table shows, links resolved.
#[test]
fn mount_points_are_real_paths() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let real = directory.path().canonicalize().expect("a real path");
    std::fs::create_dir(real.join("vaults")).expect("a directory");
    std::os::unix::fs::symlink("vaults", real.join("link")).expect("a link");
    let link = real.join("x/../link").to_string_lossy().into_owned();
    std::fs::create_dir(real.join("x")).expect("a directory");
    let config = case().flag("mountpoint", &link).flag("local", "/srv/v").config();
    assert_eq!(config.mountpoint, real.join("vaults"));
}
