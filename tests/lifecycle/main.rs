//! A mount from its start to its end, as a person or a script drives it: real mounts, real processes, an endpoint of our
//! own. Needs /dev/fuse, and fails without it.

mod clock;
mod closes;
mod foreign;
mod forwarder;
mod full_disk;
mod interrupts;
mod kills;
mod polls;
mod rebuild;
mod recalls;
mod restores;
mod set_ids;
mod snapshots;
#[path = "../support/mod.rs"]
mod support;
mod trash;
mod troubles;
mod verify;

use std::process::Command;
use std::process::Stdio;

use nix::sys::signal::Signal;
use nix::sys::signal::kill;

use support::Place;
use support::Serve;
use support::finished;
use support::until;

/// Promise: what goes in by the mount is archived on flush, leaves the disk on evict, comes back on restore, and is
/// the same; and umount ends mount and daemon.
#[test]
fn there_and_back_again() {
    let place = Place::new();
    let done = place.mount(&[]);
    assert_eq!((done.code, done.stdout.as_str()), (0, ""), "{}{}", done.stderr, place.log());
    assert!(place.is_mounted());
    let mnt = place.text("mnt");
    let file = place.path("mnt/photos/2024/a b%\n.jpg");
    place.ok(&["vault", "create", "photos", "--mount", &mnt]);
    std::fs::create_dir(place.path("mnt/photos/2024")).expect("a directory");
    let bytes: Vec<u8> = (0..3_000_000u32).flat_map(u32::to_le_bytes).collect();
    std::fs::write(&file, &bytes).expect("a written file");

    let vault = place.text("mnt/photos");
    place.ok(&["flush", &vault]);
    let listed = place.ok(&["ls", &place.text("mnt/photos/2024")]);
    assert!(listed.contains("cached") && listed.contains("a b%25%0A.jpg"), "{listed}");
    assert_eq!(place.status()["totals"]["archived_files"], 1);

    let evicted = place.ok(&["evict", &vault]);
    assert!(evicted.starts_with("Evicted 1 file, 11.4 MiB"), "{evicted}");
    let entries = place.ok(&["ls", "--json", &file.to_string_lossy()]);
    let entries: serde_json::Value = serde_json::from_str(&entries).expect("JSON");
    assert_eq!((&entries[0]["state"], &entries[0]["size"]), (&"archived".into(), &12_000_000.into()), "{entries}");
    assert_eq!(entries[0]["tree_hash"].as_str().expect("a tree hash").len(), 64);

    place.ok(&["restore", "--wait", "--tier", "expedited", &vault]);
    assert_eq!(std::fs::read(&file).expect("a read file"), bytes);
    let vaults = place.ok(&["vault", "list", "--mount", &mnt]);
    assert!(vaults.contains("photos"), "{vaults}");

    let pid = place.pid();
    place.ok(&["umount", &mnt]);
    assert!(!place.is_mounted());
    let state = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    assert!(state.is_empty() || state.contains(") Z "), "umount returns when the daemon has ended: {state}");
    let done = place.run(&["status", &mnt]);
    assert_eq!(done.code, 4, "{}", done.stderr);
}

/// Promise: a command that can't be carried out says so with its code, and changes nothing: files that aren't archived
/// aren't evicted, vaults that aren't there aren't found.
#[test]
fn refusals() {
    let place = Place::new();
    assert_eq!(place.mount(&["--upload-delay", "1h"]).code, 0, "{}", place.log());
    std::fs::create_dir(place.path("mnt/v")).expect("a vault");
    std::fs::write(place.path("mnt/v/f"), "not archived").expect("a written file");
    let evicted = place.run(&["evict", &place.text("mnt/v/f")]);
    assert_eq!(evicted.code, 8, "{}", evicted.stderr);
    assert!(evicted.stderr.contains("v/f: "), "{}", evicted.stderr);
    assert_eq!(std::fs::read(place.path("mnt/v/f")).expect("a read file"), b"not archived");

    let missing = place.run(&["ls", &place.text("mnt/v/none")]);
    assert_eq!(missing.code, 1, "{}", missing.stderr);
    let mnt = place.text("mnt");
    for arguments in [["vault", "describe", "nowhere", "--mount", &mnt], ["vault", "create", "a/b", "--mount", &mnt]] {
        let done = place.run(&arguments);
        assert!(
            done.code != 0 && done.stderr.starts_with("glacierfs: "),
            "{arguments:?}: {} {}",
            done.code,
            done.stderr
        );
    }
}

/// Promise: a second daemon on the same state is refused with a code and a message of its own, and the first goes on.
#[test]
fn one_daemon_for_a_state_directory() {
    let place = Place::new();
    assert_eq!(place.mount(&[]).code, 0, "{}", place.log());
    std::fs::create_dir(place.path("other")).expect("a directory");
    let (local, state, other) = (place.text("vaults2"), place.text("state"), place.text("other"));
    let second = place.run(&["mount", "--local", &local, "--state", &state, &other]);
    assert_eq!(second.code, 6, "{}", second.stderr);
    assert!(second.stderr.contains(&state), "{}", second.stderr);
    let background = place.run(&["mount", "--local", &local, "--state", &state, "--daemon", &other]);
    assert_eq!(background.code, 6, "the code of the background is the command's: {}", background.stderr);
    assert_eq!(place.status()["queue"]["files"], 0);
}

/// Promise: a mount point that isn't there or isn't empty is refused by name, and nothing is hidden.
#[test]
fn unusable_mount_points() {
    let place = Place::new();
    std::fs::write(place.path("mnt/precious"), "x").expect("a written file");
    let done = place.mount(&[]);
    assert_eq!(done.code, 5, "{}", done.stderr);
    assert!(done.stderr.contains("isn't empty") && done.stderr.contains("daemon.log"), "{}", done.stderr);
    let (local, state, missing) = (place.text("vaults"), place.text("state"), place.text("missing"));
    let done = place.run(&["mount", "--local", &local, "--state", &state, &missing]);
    assert_eq!(done.code, 5, "{}", done.stderr);
    assert!(done.stderr.contains("doesn't exist"), "{}", done.stderr);
}

/// Promise: after kill -9 the dead mount is told and cleared, by umount or by the next mount, and nothing that was
/// written is lost.
#[test]
fn a_killed_daemon_loses_nothing() {
    let place = Place::new();
    assert_eq!(place.mount(&["--upload-delay", "1h"]).code, 0, "{}", place.log());
    std::fs::create_dir(place.path("mnt/v")).expect("a vault");
    let file = place.path("mnt/v/f");
    std::fs::write(&file, "survives").expect("a written file");
    let pid = place.pid();
    kill(pid, Signal::SIGKILL).expect("the daemon is ours");
    until("the daemon's end", || kill(pid, None).is_err());
    let mnt = place.text("mnt");
    let status = place.run(&["status", &mnt]);
    assert_eq!(status.code, 4, "{}", status.stderr);
    assert!(status.stderr.contains("is dead") && status.stderr.contains("umount"), "{}", status.stderr);
    let cleared = place.ok(&["umount", &mnt]);
    assert!(cleared.starts_with("Cleared the dead mount"), "{cleared}");
    assert!(!place.is_mounted());

    assert_eq!(place.mount(&["--upload-delay", "1h"]).code, 0, "{}", place.log());
    assert_eq!(std::fs::read(&file).expect("a read file"), b"survives");
    let pid = place.pid();
    kill(pid, Signal::SIGKILL).expect("the daemon is ours");
    until("the daemon's end", || kill(pid, None).is_err());
    assert_eq!(place.mount(&[]).code, 0, "a mount clears a dead one by itself: {}", place.log());
    assert_eq!(std::fs::read(&file).expect("a read file"), b"survives");
    place.ok(&["flush", &mnt]);
}

/// Promise: SIGTERM and an umount from outside are clean stops: what waits for uploads is there after the next start.
#[test]
fn every_stop_is_clean() {
    let place = Place::new();
    for (round, stop) in ["SIGTERM", "umount", "drain"].iter().enumerate() {
        assert_eq!(place.mount(&["--upload-delay", "1h", "--drain-timeout", "0"]).code, 0, "{}", place.log());
        let pid = place.pid();
        let vault = place.path("mnt/v");
        if round == 0 {
            std::fs::create_dir(&vault).expect("a vault");
        }
        std::fs::write(vault.join(stop), stop).expect("a written file");
        match *stop {
            "SIGTERM" => kill(pid, Signal::SIGTERM).expect("the daemon is ours"),
            "umount" => assert!(Command::new("umount").arg(place.mnt()).status().expect("umount starts").success()),
            _ => drop(place.ok(&["umount", "--drain", "30s", &place.text("mnt")])),
        }
        until("the daemon's end", || kill(pid, None).is_err());
        assert!(!place.is_mounted(), "{stop}");
    }
    assert_eq!(place.mount(&[]).code, 0, "{}", place.log());
    for stop in ["SIGTERM", "umount", "drain"] {
        assert_eq!(std::fs::read_to_string(place.path("mnt/v").join(stop)).expect(stop), stop);
    }
    // The drain of the third round archived all that waited.
    assert_eq!(place.status()["queue"]["files"], 0);
}

/// Promise: the mount helper is what mount(8) and fstab need: it returns when the mount is there, and takes settings as options.
#[test]
fn the_mount_helper() {
    let place = Place::new();
    let helper = place.path("mount.glacierfs");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_glacierfs"), &helper).expect("a link");
    let options = format!("rw,_netdev,nofail,state={},retrieval_delay=all=0s,tier=bulk", place.text("state"));
    let mut command = Command::new(&helper);
    command.arg(place.path("vaults")).arg(place.mnt()).args(["-o", &options]).stdin(Stdio::null());
    let done = finished(&mut command);
    assert_eq!(done.code, 0, "{}{}", done.stderr, place.log());
    assert!(place.is_mounted());
    std::fs::create_dir(place.path("mnt/v")).expect("a vault");
    place.ok(&["umount", &place.text("mnt")]);
    let wrong = finished(Command::new(&helper).arg("none").arg(place.mnt()).args(["-o", "regin=x"]));
    assert_eq!((wrong.code, wrong.stderr.contains("did you mean \"region\"?")), (3, true), "{}", wrong.stderr);
}

/// Promise: a service that refuses the credentials or the region is named at the first mount, with a code of its own.
#[test]
fn a_service_that_refuses() {
    let place = Place::new();
    let serve = Serve::start(&place, "127.0.0.1:0");
    let credentials = place.text("served/credentials");
    let (state, mnt) = (place.text("state"), place.text("mnt"));
    let mount = |region: &str, credentials: &str| {
        let mut command = place.command(&[
            "mount",
            "--endpoint",
            &serve.url,
            "--region",
            region,
            "--state",
            &state,
            "--daemon",
            &mnt,
        ]);
        command.env("AWS_SHARED_CREDENTIALS_FILE", credentials).env("AWS_PROFILE", "glacierfs");
        command.env("AWS_EC2_METADATA_DISABLED", "true");
        finished(&mut command)
    };
    let region = mount("eu-central-1", &credentials);
    assert_eq!(region.code, 7, "{}", region.stderr);
    let wrong = place.path("wrong");
    std::fs::write(&wrong, "[glacierfs]\naws_access_key_id = AKIDWRONG\naws_secret_access_key = wrong\n")
        .expect("a written file");
    let key = mount("us-east-1", &wrong.to_string_lossy());
    assert_eq!(key.code, 7, "{}", key.stderr);
    let none = mount("us-east-1", "/nonexistent");
    assert_eq!(none.code, 7, "{}", none.stderr);
    let right = mount("us-east-1", &credentials);
    assert_eq!(right.code, 0, "{}{}", right.stderr, place.log());
}

/// Promise: while the service is down writes go on and uploads wait; flush says why it waits and gives up in time with its
/// code; once the service is back everything is archived.
#[test]
fn a_service_that_is_down() {
    let place = Place::new();
    let mut serve = Serve::start(&place, "127.0.0.1:0");
    let (state, mnt) = (place.text("state"), place.text("mnt"));
    let mut command = place.command(&[
        "mount",
        "--endpoint",
        &serve.url,
        "--region",
        "us-east-1",
        "--state",
        &state,
        "--daemon",
        &mnt,
    ]);
    command.env("AWS_SHARED_CREDENTIALS_FILE", place.path("served/credentials")).env("AWS_PROFILE", "glacierfs");
    let mounted = finished(&mut command);
    assert_eq!(mounted.code, 0, "{}", mounted.stderr);
    std::fs::create_dir(place.path("mnt/v")).expect("a vault");
    let address = serve.url.trim_start_matches("http://").to_owned();
    assert_eq!(serve.stop(), Some(0), "SIGTERM is a clean end");
    drop(serve);

    std::fs::write(place.path("mnt/v/f"), "waits").expect("a written file");
    let flush = place.run(&["flush", "--timeout", "3s", &mnt]);
    assert_eq!(flush.code, 9, "{}", flush.stderr);
    assert!(flush.stderr.contains("not done within 3s: 1 file, 5 B left"), "{}", flush.stderr);
    assert_eq!(place.status()["queue"]["files"], 1);

    let _serve = Serve::start(&place, &address);
    place.ok(&["flush", "--timeout", "2min", &mnt]);
    assert_eq!(place.status()["queue"]["files"], 0);
}

/// Promise: an archive that another put into the vault is a file after an inventory, and rebuild finds the same again
/// with nothing but the vaults.
#[test]
fn inventory_and_rebuild() {
    let place = Place::new();
    assert_eq!(place.mount(&["--inventory-interval", "0"]).code, 0, "{}", place.log());
    let (mnt, file) = (place.text("mnt"), place.path("mnt/v/d/f"));
    std::fs::create_dir_all(place.path("mnt/v/d")).expect("a vault with a directory");
    std::fs::write(&file, "described").expect("a written file");
    place.ok(&["flush", &mnt]);
    let told = place.ok(&["inventory", "v", "--timeout", "20s", "--mount", &mnt]);
    assert!(told.contains("v: 1 archive in the inventory") && told.contains("1 known already"), "{told}");
    let before = std::fs::metadata(&file).expect("attributes");
    place.ok(&["umount", &mnt]);

    std::fs::remove_dir_all(place.path("state")).expect("a lost catalog");
    assert_eq!(place.mount(&["--inventory-interval", "0"]).code, 0, "{}", place.log());
    let told = place.ok(&["rebuild", "--timeout", "20s", &mnt]);
    assert!(told.contains("1 new, and files now"), "{told}");
    let after = std::fs::metadata(&file).expect("a file again");
    let tell = |m: &std::fs::Metadata| (m.len(), m.modified().ok(), std::os::unix::fs::MetadataExt::mode(m));
    assert_eq!(tell(&after), tell(&before));
    assert_eq!(std::fs::read(&file).expect("a recall"), b"described");
}
