//! Readers that wait for cold files by the hundred.

use std::os::unix::fs::FileExt;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;
use std::time::Instant;

use nix::sys::signal::Signal;
use nix::sys::signal::kill;
use nix::unistd::Pid;

use super::interrupts::Stopped;
use super::support::Place;
use super::support::Serve;
use super::support::until;
use super::with_cold_files;

/// A program whose threads each wait for one of the files `coldN` in a directory, N below a count, by a read or by a mapping, and
/// which then says how the waits ended. Started as `python3 -c CROWD DIRECTORY THREADS FILES`.
const CROWD: &str = "
import collections, mmap, os, sys, threading
ends = collections.Counter()
def wait(n):
    path = f'{sys.argv[1]}/cold{n % int(sys.argv[3])}'
    try: ends[len(os.read(os.open(path, 0), 10))] += 1
    except OSError as error: ends[error.errno] += 1
threading.stack_size(65536)
threads = [threading.Thread(target=wait, args=(n,)) for n in range(int(sys.argv[2]))]
for thread in threads: thread.start()
print('started', flush=True)
for thread in threads: thread.join()
print(sorted(ends.items()))
";

/// Processes that each wait for a page of `coldN`.
const FAULT: &str = "
import mmap, os, sys
mmap.mmap(os.open(sys.argv[1], 0), 0, prot=mmap.PROT_READ)[5000]
";

const PYTHON: &str = "/usr/bin/python3";

/// How long the daemon's threads have run, by the clock of the processor.
fn processor_time(pid: Pid) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("the daemon");
    let fields: Vec<&str> = stat.rsplit_once(") ").expect("a command").1.split(' ').collect();
    let ticks: u64 = fields[11..13].iter().map(|field| field.parse::<u64>().expect("a number")).sum();
    // 100 a second everywhere.
    Duration::from_millis(ticks * 10)
}

/// Threads of a process that wait for an answer of FUSE.
fn waiting(pid: u32) -> usize {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).expect("a process").flatten();
    let function = |task: std::fs::DirEntry| std::fs::read_to_string(task.path().join("wchan")).unwrap_or_default();
    tasks.map(function).filter(|name| name == "request_wait_answer").count()
}

/// Promise: 500 threads and 300 page faults that wait for cold files slow down neither metadata nor warm reads nor writes, and
/// watching them keeps no processor busy; when the daemon stops, each of them is told.
#[test]
fn hundreds_wait_in_nobodys_way() {
    const FILES: usize = 300;
    let place = Place::new();
    let serve = Serve::start_with(&place, "127.0.0.1:0", "all=1h");
    place.mount_endpoint(&serve.url, &["--upload-delay", "0", "--drain-timeout", "0"]);
    std::fs::create_dir(place.path("mnt/v")).expect("a vault");
    with_cold_files(&place, FILES, 20_000);
    let warm: Vec<u8> = (0..4_000_000u32).map(|n| n as u8).collect();
    std::fs::write(place.path("mnt/v/warm"), &warm).expect("a written file");
    let vault = place.text("mnt/v");
    let crowd = Command::new(PYTHON)
        .args(["-c", CROWD, &vault, "500", &FILES.to_string()])
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3 starts");
    let fault = |n: usize| {
        Command::new(PYTHON)
            .args(["-c", FAULT, &format!("{vault}/cold{n}")])
            .stderr(Stdio::null())
            .spawn()
            .expect("python3 starts")
    };
    let mut faults: Vec<_> = (0..FILES).map(fault).collect();
    until("all waits", || waiting(crowd.id()) == 500);
    let in_fault =
        |pid: u32| std::fs::read_to_string(format!("/proc/{pid}/syscall")).is_ok_and(|call| call.starts_with("-1 "));
    super::support::within(Duration::from_secs(60), "all page faults", || {
        faults.iter().all(|child| in_fault(child.id()))
    });

    super::forget_pages(&place.path("mnt/v/warm"));
    let start = Instant::now();
    let file = std::fs::File::open(place.path("mnt/v/warm")).expect("a warm file");
    let mut read = vec![0; warm.len()];
    file.read_exact_at(&mut read, 0).expect("a warm read");
    assert!(read == warm);
    for n in 0..100 {
        std::fs::write(place.path("mnt/v").join(format!("new{n}")), "new").expect("a new file");
    }
    let names = std::fs::read_dir(place.path("mnt/v")).expect("a listing").count();
    assert_eq!(names, FILES + 101);
    let took = start.elapsed();
    println!("a warm read of 4 MB, 100 new files and a listing beside 800 waits: {took:?}");
    assert!(took < Duration::from_secs(5), "{took:?}");

    until("the uploads", || place.status()["queue"]["files"] == 0);
    // So that nothing but watching is measured.
    let (stopped, pid) = (Stopped::new(&serve), place.pid());
    let (before, start) = (processor_time(pid), Instant::now());
    std::thread::sleep(Duration::from_secs(4));
    let load = (processor_time(pid) - before).as_secs_f64() / start.elapsed().as_secs_f64();
    println!("watching 800 waits takes {:.1} % of a processor", load * 100.);
    // Some percent in a debug build on a busy machine.
    assert!(load < 0.5, "{:.1} %", load * 100.);

    drop(stopped);
    let start = Instant::now();
    kill(pid, Signal::SIGTERM).expect("the daemon is ours");
    for child in &mut faults {
        let status = child.wait().expect("a child");
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(Signal::SIGBUS as i32), "{status}");
    }
    let told = crowd.wait_with_output().expect("a child");
    assert!(String::from_utf8_lossy(&told.stdout).ends_with("[(5, 500)]\n"), "{told:?}");
    println!("all told after {:?}", start.elapsed());
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    until("the daemon's end", || kill(pid, None).is_err());
}

/// Promise: 200 readers of one cold file wait for one retrieval, and all get its bytes.
#[test]
fn one_retrieval_for_all() {
    let place = Place::new();
    let done = place.mount(&["--retrieval-delay", "all=3s", "--upload-delay", "0", "--drain-timeout", "0"]);
    assert_eq!(done.code, 0, "{}{}", done.stderr, place.log());
    with_cold_files(&place, 1, 300_000);
    let crowd = Command::new(PYTHON)
        .args(["-c", CROWD, &place.text("mnt/v"), "200", "1"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3 starts");
    until("all waits", || waiting(crowd.id()) == 200);
    assert_eq!(place.status()["jobs"].as_array().expect("a list of jobs").len(), 1);
    let told = crowd.wait_with_output().expect("a child");
    assert!(String::from_utf8_lossy(&told.stdout).ends_with("[(10, 200)]\n"), "{told:?}");
}

/// Promise: who waits for a file that is emptied or written anew meanwhile waits no longer, and reads what it is now; who waits for
/// one that is removed gets its bytes all the same.
#[test]
fn what_is_waited_for_changes() {
    let place = Place::new();
    let done = place.mount(&["--retrieval-delay", "all=1h", "--upload-delay", "0", "--drain-timeout", "0"]);
    assert_eq!(done.code, 0, "{}{}", done.stderr, place.log());
    with_cold_files(&place, 2, 300_000);
    let cat = |name: &str| {
        let child = Command::new("cat").arg(place.path("mnt/v").join(name)).stdout(Stdio::piped()).spawn();
        let child = child.expect("cat starts");
        until("the read", || waiting(child.id()) == 1);
        child
    };
    let (emptied, anew) = (cat("cold0"), cat("cold1"));
    std::fs::File::options().write(true).truncate(true).open(place.path("mnt/v/cold0")).expect("an emptied file");
    assert_eq!(emptied.wait_with_output().expect("a child").stdout, b"");
    std::fs::write(place.path("mnt/v/cold1"), "new").expect("a written file");
    // Whether it reads before or after the new bytes came is its luck.
    let read = anew.wait_with_output().expect("a child").stdout;
    assert!(read.is_empty() || read == b"new", "{} bytes", read.len());
    place.ok(&["umount", &place.text("mnt")]);

    let place = Place::new();
    let done = place.mount(&["--retrieval-delay", "all=2s", "--upload-delay", "0", "--drain-timeout", "0"]);
    assert_eq!(done.code, 0, "{}{}", done.stderr, place.log());
    with_cold_files(&place, 1, 300_000);
    let removed = {
        let child = Command::new("cat").arg(place.path("mnt/v/cold0")).stdout(Stdio::piped()).spawn();
        let child = child.expect("cat starts");
        until("the read", || waiting(child.id()) == 1);
        child
    };
    std::fs::remove_file(place.path("mnt/v/cold0")).expect("a removed file");
    assert!(removed.wait_with_output().expect("a child").stdout == vec![0; 300_000]);
}
