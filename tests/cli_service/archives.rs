//! Archives, jobs and uploads.

use std::io::BufRead;
use std::io::BufReader;
use std::process::Stdio;

use glacierfs::glacier::treehash::tree_hash;
use nix::sys::signal::Signal;
use nix::unistd::Pid;

use crate::setup::Endpoint;
use crate::setup::bare;
use crate::setup::run;

const MIB: usize = 1 << 20;

fn bytes(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i / 251 + i % 253) as u8).collect()
}

/// Promise: what archive put has sent, whole or in parts, archive get brings back, and archive delete takes away.
#[test]
fn archives_go_and_come_back() {
    let endpoint = Endpoint::start();
    let data = bytes(2 * MIB + 77);
    let file = endpoint.file("2019.tar", &data);
    let whole = endpoint.ok(&["archive", "put", "photos", &file, "--description", "photos of 2019"]);
    let put = endpoint.json(&["archive", "put", "photos", &file, "--part-size", "1M", "--json"]);
    assert_eq!(put["Size"], data.len());
    assert_eq!(put["SHA256TreeHash"], tree_hash(&data).to_string());
    let in_parts = put["ArchiveId"].as_str().expect("an ID");
    for archive in [whole.trim(), in_parts] {
        let answer = endpoint.run(&["archive", "get", "photos", archive]);
        assert_eq!(answer.code, 0, "{}", answer.stderr);
        assert!(answer.stdout == data);
        let copy = endpoint.path("copy.tar").to_string_lossy().into_owned();
        let said = endpoint.ok(&["archive", "get", "photos", archive, "-o", &copy, "--tier", "bulk"]);
        assert_eq!(said, format!("{copy}: 2.0 MiB, compared with its tree hash.\n"));
        assert!(std::fs::read(&copy).expect("the copy") == data);
    }
    endpoint.asks(&["archive", "delete", "photos", in_parts], "Within 90 days");
    assert_eq!(endpoint.ok(&["archive", "delete", "photos", in_parts, "--yes"]), "Deleted.\n");
    endpoint.refused(&["archive", "get", "photos", in_parts], 7, "ResourceNotFoundException");
}

/// Promise: files that can't be archives, and bad arguments, are refused with their names and the code of their kind.
#[test]
fn bad_arguments_are_named() {
    let endpoint = Endpoint::start();
    let empty = endpoint.file("empty", b"");
    let file = endpoint.file("file", b"x");
    let home = endpoint.path("").to_string_lossy().into_owned();
    for (arguments, code, message) in [
        (vec!["archive", "put", "photos", &empty], 1, "empty: it is empty"),
        (vec!["archive", "put", "photos", &home], 1, "it isn't a file"),
        (vec!["archive", "put", "photos", "/nonexistent/x"], 1, "/nonexistent/x: No such file"),
        (vec!["archive", "put", "photos", &file, "--part-size", "3M"], 2, "a power of two from 1M to 4G"),
        (vec!["archive", "put", "photos", &file, "--description", "ü"], 2, "printable ASCII"),
        (vec!["archive", "put", "pho/tos", &file], 2, "\"pho/tos\" is not a name for a vault"),
        (vec!["archive", "put", "none", &file], 7, "ResourceNotFoundException"),
        (vec!["archive", "get", "photos", "x", "--tier", "slow"], 2, "allowed is expedited, standard or bulk"),
        (vec!["archive", "get", "photos", "x", "--no-wait", "-o", "y"], 2, "cannot be used with"),
        (vec!["job", "output", "photos", "x", "--range", "5-1"], 2, "allowed is FIRST-LAST"),
        (vec!["job", "list", "photos", "--completed", "--in-progress"], 2, "cannot be used with"),
        (vec!["job", "describe", "photos", "x"], 7, "ResourceNotFoundException"),
        (vec!["job", "list", "photos", "--account", "12"], 3, "--account: \"12\" is not allowed"),
    ] {
        endpoint.refused(&arguments, code, message);
    }
}

/// Promise: the settings that reach the service are those of a mount, by flags, variables and the file; a mount's own
/// endpoint can't be reached so, and says how else.
#[test]
fn settings_are_those_of_a_mount() {
    let endpoint = Endpoint::start();
    let home = endpoint.path("");
    let list = ["job", "list", "photos", "--region", "us-east-1", "--endpoint", endpoint.url()];
    let answer = run(bare(&home, &list).envs(endpoint.keys()));
    assert_eq!((answer.code, answer.stdout), (0, b"There are no such jobs.\n".to_vec()), "{}", answer.stderr);
    let config = format!("mountpoint = \"/mnt/v\"\nregion = \"us-east-1\"\nendpoint = \"{}\"\n", endpoint.url());
    let config = endpoint.file("photos.toml", config.as_bytes());
    let answer = run(bare(&home, &["job", "list", "photos", "--config", &config]).envs(endpoint.keys()));
    assert_eq!(answer.code, 0, "{}", answer.stderr);
    let local = endpoint.file("local.toml", b"local = \"/srv/v\"\n");
    for (arguments, code, message) in [
        (&["job", "list", "photos"][..], 3, "region isn't set"),
        (
            &["job", "list", "photos", "--config", &local],
            3,
            "local.toml:1: the vaults of local are served by their mount",
        ),
        (&["job", "list", "photos", "--region=us-east-1", "--endpoint=http://127.0.0.1:1"], 7, "check the network"),
    ] {
        let answer = run(bare(&home, arguments).envs(endpoint.keys()));
        assert_eq!(answer.code, code, "{arguments:?}: {}", answer.stderr);
        assert!(answer.stderr.contains(message), "{arguments:?}: {}", answer.stderr);
    }
}

/// Promise: jobs are listed and described for people and programs, and their output is read whole, in ranges and into
/// files, which never show a part.
#[test]
fn jobs_are_listed_described_and_read() {
    let endpoint = Endpoint::start();
    let data = bytes(MIB + 5);
    let archive = endpoint.ok(&["archive", "put", "photos", &endpoint.file("a", &data)]);
    assert_eq!(endpoint.ok(&["job", "list", "photos"]), "There are no such jobs.\n");
    assert_eq!(endpoint.json(&["job", "list", "photos", "--json"]), serde_json::json!([]));
    let job = endpoint.ok(&["archive", "get", "photos", archive.trim(), "--no-wait"]);
    let job = job.trim();
    let list = endpoint.ok(&["job", "list", "photos", "--completed"]);
    assert!(list.starts_with("ACTION") && list.contains("Succeeded") && list.trim_end().ends_with(job), "{list}");
    assert_eq!(endpoint.json(&["job", "list", "photos", "--json"])[0]["JobId"], job);
    assert_eq!(endpoint.json(&["job", "list", "photos", "--json", "--in-progress"]), serde_json::json!([]));
    let text = endpoint.ok(&["job", "describe", "photos", job]);
    assert!(text.contains("ArchiveRetrieval") && text.contains("1.0 MiB (1048581 bytes)"), "{text}");
    let described = endpoint.json(&["job", "describe", "photos", job, "--json"]);
    assert_eq!(described["ArchiveId"], archive.trim());
    assert!(endpoint.run(&["job", "output", "photos", job]).stdout == data);
    let range = endpoint.run(&["job", "output", "photos", job, "--range", "3-9"]);
    assert_eq!(range.stdout, data[3..=9]);
    let file = endpoint.file("out", b"before");
    let beyond = ["job", "output", "photos", job, "-o", &file, "--range", "9000000-9000001"];
    endpoint.refused(&beyond, 7, "InvalidParameterValueException");
    assert_eq!(std::fs::read(&file).expect("the file"), b"before");
    let said = endpoint.ok(&["job", "output", "photos", job, "-o", &file, "--range", "0-1048575"]);
    assert!(said.ends_with("1.0 MiB, compared with its tree hash.\n"), "{said}");
    let said = endpoint.ok(&["job", "output", "photos", job, "-o", &file, "--range", "3-9"]);
    assert!(said.ends_with("7 B, without a tree hash to compare.\n"), "{said}");
    assert_eq!(std::fs::read(&file).expect("the file"), data[3..=9]);
    let home = endpoint.path("").to_string_lossy().into_owned();
    endpoint.refused(&["job", "output", "photos", job, "-o", &home], 1, "a directory can't be written to");
    let names = std::fs::read_dir(endpoint.path("")).expect("the home directory");
    let names: Vec<_> = names.map(|entry| entry.expect("an entry").file_name()).collect();
    assert!(names.iter().all(|name| !name.to_string_lossy().contains(".part-")), "{names:?}");
}

/// Promise: IDs may begin with dashes, also such as look like a flag, and flags may stand before them.
#[test]
fn ids_may_begin_with_a_dash() {
    let endpoint = Endpoint::start();
    for id in ["-x", "-oabc", "-y7", "--abc", "-hello"] {
        endpoint.refused(&["job", "describe", "photos", id], 7, "ResourceNotFoundException");
        endpoint.refused(&["job", "output", "photos", id], 7, "ResourceNotFoundException");
        endpoint.refused(&["archive", "delete", "photos", id], 2, &format!("This deletes archive {id} in photos"));
        endpoint.refused(&["upload", "abort", "--yes", "photos", id], 7, "ResourceNotFoundException");
    }
}

/// Promise: an endpoint whose jobs take long is waited for as long as --timeout says, and the job is named.
#[test]
fn waiting_ends_with_the_timeout() {
    let endpoint = Endpoint::with(&["--retrieval-delay", "all=1h"]);
    let archive = endpoint.ok(&["archive", "put", "photos", &endpoint.file("a", b"x")]);
    endpoint.refused(&["archive", "get", "photos", archive.trim(), "--timeout", "50ms"], 9, "not done within 50ms");
    let jobs = endpoint.json(&["job", "list", "photos", "--in-progress", "--json"]);
    let job = jobs[0]["JobId"].as_str().expect("an ID");
    endpoint.refused(&["job", "output", "photos", job], 7, "not currently available");
}

/// Promise: a wait that is interrupted says so and ends with its documented code, and the job stays.
#[test]
fn waiting_can_be_interrupted() {
    let endpoint = Endpoint::with(&["--retrieval-delay", "all=1h"]);
    let archive = endpoint.ok(&["archive", "put", "photos", &endpoint.file("a", b"x")]);
    let mut command = endpoint.command(&["archive", "get", "photos", archive.trim()]);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("it starts");
    let mut stderr = BufReader::new(child.stderr.take().expect("its messages"));
    let mut line = String::new();
    stderr.read_line(&mut line).expect("a line");
    assert!(line.ends_with(" has begun\n"), "{line}");
    let pid = Pid::from_raw(child.id().try_into().expect("a process ID"));
    nix::sys::signal::kill(pid, Signal::SIGINT).expect("it runs");
    line.clear();
    stderr.read_line(&mut line).expect("a line");
    assert_eq!((line.as_str(), child.wait().expect("it ends").code()), ("glacierfs: interrupted\n", Some(1)));
    assert!(endpoint.ok(&["job", "list", "photos"]).contains("InProgress"));
}

/// Promise: uploads are listed with their parts for people and programs, and aborted only with --yes.
#[test]
fn uploads_are_listed_and_aborted() {
    let endpoint = Endpoint::start();
    assert_eq!(endpoint.ok(&["upload", "list", "photos"]), "There are no uploads in progress.\n");
    let upload = endpoint.begin_upload("half a year");
    let list = endpoint.ok(&["upload", "list", "photos"]);
    assert!(list.contains(&upload) && list.contains("half a year") && list.contains("1.0 MiB"), "{list}");
    assert_eq!(endpoint.json(&["upload", "list", "photos", "--json"])[0]["MultipartUploadId"], upload.as_str());
    let parts = endpoint.ok(&["upload", "parts", "photos", &upload]);
    assert!(parts.starts_with("    BYTES  TREE HASH\n0-1048575  "), "{parts}");
    let parts = endpoint.json(&["upload", "parts", "photos", &upload, "--json"]);
    assert_eq!(parts[0]["RangeInBytes"], "0-1048575");
    endpoint.asks(&["upload", "abort", "photos", &upload], &upload);
    assert_eq!(endpoint.ok(&["upload", "abort", "photos", &upload, "--yes"]), "Aborted.\n");
    endpoint.refused(&["upload", "parts", "photos", &upload], 7, "ResourceNotFoundException");
}
