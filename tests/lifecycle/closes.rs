//! Closes that wait until a file is archived, while the service is down.

use std::io::BufRead;
use std::io::BufReader;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::Signal;
use nix::sys::signal::kill;
use nix::unistd::Pid;

use super::support::Place;
use super::support::Serve;
use super::support::within;

/// A mount with `--close archived`, and an endpoint that has just gone away.
fn stranded() -> (Place, String) {
    let place = Place::new();
    let mut serve = Serve::start(&place, "127.0.0.1:0");
    place.mount_endpoint(&serve.url, &["--close", "archived", "--drain-timeout", "0"]);
    std::fs::create_dir(place.path("mnt/v")).expect("a vault");
    let address = serve.url.trim_start_matches("http://").to_owned();
    serve.stop();
    (place, address)
}

/// A program that has written to `v/NAME` and says so; then it does `next`.
fn writer(place: &Place, name: &str, next: &str) -> Child {
    let script = format!(
        "import os,sys,time\nf=os.open(sys.argv[1],os.O_CREAT|os.O_WRONLY)\nos.write(f,b'kept')\nprint(1,flush=True)\n{next}"
    );
    // A shell lets what it starts in the background ignore SIGINT, and this may be such a run.
    let mut command = Command::new("env");
    command
        .args(["--default-signal", "/usr/bin/python3"])
        .args(["-c", &script])
        .arg(place.path("mnt/v").join(name))
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    let mut child = command.spawn().expect("python3 starts");
    let mut said = String::new();
    BufReader::new(child.stdout.take().expect("its output")).read_line(&mut said).expect("a word");
    child
}

fn signal(child: &Child, signal: Signal) {
    kill(Pid::from_raw(i32::try_from(child.id()).expect("a process ID")), signal).expect("ours");
}

/// Promise: with `--close=archived` and the service down, a close waits, and Ctrl-C and SIGKILL end the wait; a program that
/// is killed with files open, or exits without closing them, isn't held; and everything is archived once the service is back.
#[test]
fn while_the_service_is_down() {
    let (place, address) = stranded();
    let mut writers = Vec::new();
    for (name, next, deadly) in [
        ("closed", "os.close(f)", Some(Signal::SIGINT)),
        ("closing", "os.close(f)", Some(Signal::SIGKILL)),
        ("killed", "time.sleep(60)", Some(Signal::SIGKILL)),
        ("ended", "os._exit(0)", None),
    ] {
        let mut child = writer(&place, name, next);
        if let Some(deadly) = deadly {
            std::thread::sleep(Duration::from_millis(300));
            assert!(child.try_wait().expect("a child").is_none(), "{name} waits");
            signal(&child, deadly);
        }
        within(Duration::from_secs(5), name, || child.try_wait().expect("a child").is_some());
        writers.push(name);
    }
    let _serve = Serve::start(&place, &address);
    place.ok(&["flush", "--timeout", "2min", &place.text("mnt")]);
    for name in writers {
        assert_eq!(std::fs::read_to_string(place.path("mnt/v").join(name)).expect("read"), "kept");
    }
}
