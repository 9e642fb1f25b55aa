//! Readers of cold files that don't want to wait any more, or can't.

use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::process::Child;
use std::process::Command;
use std::process::ExitStatus;
use std::process::Stdio;
use std::time::Duration;
use std::time::Instant;

use nix::sys::signal::Signal;
use nix::sys::signal::kill;
use nix::unistd::Pid;

use super::support::PATIENCE;
use super::support::Place;
use super::support::until;

/// Programs that are ended with the test, whatever becomes of it.
struct Readers(Vec<Child>);

impl Drop for Readers {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = child.kill();
        }
    }
}

fn cat(place: &Place, name: &str) -> Child {
    // A shell lets what it starts in the background ignore SIGINT, and this may be such a run: cat must not.
    let mut command = Command::new("env");
    command
        .args(["--default-signal", "cat"])
        .arg(place.path(name))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    command.spawn().expect("cat starts")
}

/// Waits for a child's end, `patience` at most.
fn ended(child: &mut Child, patience: Duration) -> ExitStatus {
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait().expect("a child") {
            return status;
        }
        assert!(start.elapsed() < patience, "a reader is still there after {patience:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A mount with 40 cold files `v/cold*` whose retrieval takes an hour, and a warm one `v/warm`.
fn cold() -> Place {
    let place = Place::new();
    assert_eq!(place.mount(&["--retrieval-delay", "all=1h", "--upload-delay", "0"]).code, 0, "{}", place.log());
    std::fs::create_dir(place.path("mnt/v")).expect("a vault");
    for n in 0..40 {
        std::fs::write(place.path("mnt/v").join(format!("cold{n}")), vec![n; 300_000]).expect("a written file");
    }
    place.ok(&["flush", "--timeout", "1min", &place.text("mnt")]);
    place.ok(&["evict", &place.text("mnt/v")]);
    std::fs::write(place.path("mnt/v/warm"), "warm").expect("a written file");
    place
}

/// Waits until the reader is in its read, which is when the daemon has a job for the file, or the read is in the kernel.
fn is_waiting(child: &Child) -> bool {
    // read(2) is system call 0 on x86-64 and 63 on ARM; cat reads nothing else that makes it wait.
    let call = std::fs::read_to_string(format!("/proc/{}/syscall", child.id())).unwrap_or_default();
    let state = std::fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap_or_default();
    (call.starts_with("0 ") || call.starts_with("63 ")) && !state.contains(") R ")
}

/// Promise: who waits for a cold file dies of Ctrl-C, SIGTERM and SIGKILL within two seconds.
#[test]
fn a_waiting_reader_can_be_interrupted() {
    let place = cold();
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGKILL] {
        let mut readers = Readers(vec![cat(&place, "mnt/v/cold7")]);
        let reader = &mut readers.0[0];
        until("the read", || is_waiting(reader));
        std::thread::sleep(Duration::from_millis(300));
        assert!(is_waiting(reader), "an hour isn't over");
        let start = Instant::now();
        kill(Pid::from_raw(i32::try_from(reader.id()).expect("a process ID")), signal).expect("cat is ours");
        let status = ended(reader, Duration::from_secs(2));
        println!("{signal}: dead after {:?}", start.elapsed());
        assert_eq!(status.signal(), Some(signal as i32), "{status}");
    }
}

/// Promise: forty readers that wait for cold files hold up neither a warm read, nor a write, nor a listing; and when the
/// daemon is stopped, each of them gets an error at once, and the daemon ends.
#[test]
fn waiting_readers_are_in_nobodys_way() {
    for how in ["SIGTERM", "umount"] {
        let place = cold();
        let pid = place.pid();
        let mut readers = Readers((0..40).map(|n| cat(&place, &format!("mnt/v/cold{n}"))).collect());
        until("all reads", || readers.0.iter().all(is_waiting));

        let start = Instant::now();
        // In processes of their own, so that one that hangs doesn't hang the test.
        let (warm, new, dir) = (place.text("mnt/v/warm"), place.text("mnt/v/new"), place.text("mnt/v"));
        for (program, argument) in [("cat", &warm), ("touch", &new), ("ls", &dir), ("cat", &warm)] {
            let mut child =
                Readers(vec![Command::new(program).arg(argument).stdout(Stdio::null()).spawn().expect(program)]);
            assert!(ended(&mut child.0[0], Duration::from_secs(5)).success(), "{program} {argument}");
        }
        println!("a warm read, a new file, a listing beside 40 waiting readers: {:?}", start.elapsed());
        assert!(readers.0.iter().all(is_waiting), "an hour isn't over");

        let start = Instant::now();
        match how {
            "SIGTERM" => kill(pid, Signal::SIGTERM).expect("the daemon is ours"),
            _ => drop(place.ok(&["umount", "--drain", "0", "--timeout", "20s", &place.text("mnt")])),
        }
        for reader in &mut readers.0 {
            let status = ended(reader, PATIENCE);
            let mut said = String::new();
            reader.stderr.take().expect("its words").read_to_string(&mut said).expect("text");
            assert!(status.code() == Some(1) && said.contains("Input/output error"), "{status}: {said}");
        }
        until("the daemon's end", || kill(pid, None).is_err());
        println!("{how}: all readers told and the daemon ended after {:?}", start.elapsed());
        assert!(start.elapsed() < Duration::from_secs(15), "{:?}: {}", start.elapsed(), place.log());
        assert!(!place.is_mounted());
    }
}
