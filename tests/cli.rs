//! The program as a script sees it: exit codes, messages, output.

use std::path::Path;
use std::process::Command;
use std::process::Output;
use std::process::Stdio;

/// The program in surroundings of its own: no settings, no AWS configuration, a home directory that is a test's.
fn glacierfs(home: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_glacierfs"));
    command.args(arguments).env_clear().env("HOME", home).env("PATH", "/usr/bin:/bin").stdin(Stdio::null());
    command
}

fn run(command: &mut Command) -> (i32, String, String) {
    let Output { status, stdout, stderr } = command.output().expect("the program starts");
    let text = |bytes| String::from_utf8(bytes).expect("output is UTF-8");
    (status.code().expect("no signal ends it"), text(stdout), text(stderr))
}

/// Promise: each kind of failure has its documented exit code, and says one thing on standard error.
#[test]
fn exit_codes() {
    let home = tempfile::tempdir().expect("a temporary directory");
    let path = |name: &str| home.path().join(name).to_string_lossy().into_owned();
    for (arguments, code, says) in [
        (vec!["--version"], 0, ""),
        (vec!["mount", "--help"], 0, ""),
        (vec![], 2, "Usage"),
        (vec!["mount", "--cach-size", "1G", "/mnt"], 2, "'--cache-size'"),
        (vec!["status", "--json", "--watch"], 2, "cannot be used with"),
        (vec!["restore", "--tier", "slow", "/mnt"], 2, "allowed is expedited, standard or bulk"),
        (vec!["restore", "--rate", "10G", "/mnt"], 2, "allowed is a size above 0 an hour, such as 10G/h"),
        (vec!["restore", "--newer", "lately", "/mnt"], 2, "durations before now such as 30days"),
        (vec!["restore", "--json", "/mnt"], 2, "--dry-run"),
        (vec!["restore"], 2, "Usage"),
        (vec!["restore", "list", "/usr"], 4, "/usr isn't in a glacierfs mount"),
        (vec!["restore", "--from-file", "/nonexistent"], 1, "the paths in /nonexistent can't be read"),
        (vec!["mount", "--local", "/srv/v"], 3, "glacierfs: mountpoint isn't set: name a directory"),
        (vec!["mount", "/mnt"], 3, "AWS_DEFAULT_REGION"),
        (vec!["mount", "--region", "eu-west-1", "--uploads", "0", "/mnt"], 3, "--uploads: \"0\" is not allowed"),
        (vec!["config", "show", "-o", "regoin=x"], 3, "did you mean \"region\"?"),
        (vec!["umount", "/usr"], 4, "/usr isn't the mount point of a glacierfs"),
        (vec!["ls", "/usr"], 4, "/usr isn't in a glacierfs mount"),
        (vec!["evict", "/nonexistent/x"], 4, "/nonexistent/x: No such file or directory"),
    ] {
        let (actual, _, stderr) = run(&mut glacierfs(home.path(), &arguments));
        assert_eq!(actual, code, "{arguments:?}: {stderr}");
        assert!(stderr.contains(says), "{arguments:?}: {stderr}");
        assert_eq!(stderr.is_empty(), code == 0, "{arguments:?}: {stderr}");
    }
    let missing = path("none.toml");
    let (code, _, stderr) = run(&mut glacierfs(home.path(), &["mount", "--config", &missing]));
    assert_eq!(
        (code, stderr),
        (
            3,
            format!(
                "glacierfs: {missing}: the configuration file can't be read: No such file or directory (os error 2)\n"
            )
        )
    );
}

/// Promise: a typo in the file is refused with file, line and nearest key, before anything is mounted.
#[test]
fn a_typo_in_the_file_is_named() {
    let home = tempfile::tempdir().expect("a temporary directory");
    let file = home.path().join("photos.toml");
    std::fs::write(&file, "local = \"/srv/v\"\nmount-point = \"/mnt\"\n").expect("a written file");
    let file = file.to_string_lossy();
    let (code, _, stderr) = run(&mut glacierfs(home.path(), &["mount", "--config", &file]));
    assert_eq!(
        (code, stderr),
        (3, format!("glacierfs: {file}:2: there is no setting \"mount-point\"; did you mean \"mountpoint\"?\n"))
    );
}

/// Promise: config show prints every setting with its source, the file's with its line.
#[test]
fn config_show_names_sources() {
    let home = tempfile::tempdir().expect("a temporary directory");
    let file = home.path().join("photos.toml");
    std::fs::write(&file, "# ours\ncache-size = \"20G\"\nlocal = \"/srv/v\"\n").expect("a written file");
    let name = file.to_string_lossy();
    let mut show =
        glacierfs(home.path(), &["config", "show", "--config", &name, "--tier", "bulk", "-o", "ro", "/mnt/v"]);
    let (code, stdout, stderr) = run(show.env("GLACIERFS_THREADS", "4").env("AWS_REGION", "eu-west-1"));
    assert_eq!((code, stderr.as_str()), (0, ""));
    let words: Vec<Vec<_>> = stdout.lines().map(|line| line.split_whitespace().collect()).collect();
    for expected in [
        vec!["mountpoint", "/mnt/v", "MOUNTPOINT"],
        vec!["tier", "bulk", "--tier"],
        vec!["read-only", "true", "-o", "read-only"],
        vec!["threads", "4", "GLACIERFS_THREADS"],
        vec!["cache-size", "20G", &format!("{name}:2")],
        vec!["region", "us-east-1", "derived"],
        vec!["uploads", "8", "default"],
    ] {
        assert!(words.contains(&expected), "{expected:?} in {stdout}");
    }
}

/// Promise: the region of an AWS profile counts, as the AWS tools have it.
#[test]
fn the_profile_gives_the_region() {
    let home = tempfile::tempdir().expect("a temporary directory");
    std::fs::create_dir(home.path().join(".aws")).expect("a directory");
    let text = "[default]\nregion = eu-west-3\n[profile backup]\nregion = eu-north-1\n";
    std::fs::write(home.path().join(".aws/config"), text).expect("a written file");
    for (profile, line) in [(None, "eu-west-3 AWS profile default"), (Some("backup"), "eu-north-1 AWS profile backup")]
    {
        let mut arguments = vec!["config", "show", "/mnt/v"];
        arguments.extend(profile.iter().flat_map(|profile| ["--profile", profile]));
        let (code, stdout, stderr) = run(&mut glacierfs(home.path(), &arguments));
        assert_eq!(code, 0, "{stderr}");
        let words = stdout.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(words.contains(&format!("region {line}")), "{stdout}");
    }
}

/// Promise: a reader that closes the pipe ends the command quietly, not with a panic.
#[test]
fn a_closed_pipe_is_quiet() {
    let home = tempfile::tempdir().expect("a temporary directory");
    for arguments in
        [&["completions", "bash"][..], &["man"], &["mount", "--help"], &["config", "show", "/mnt", "--local=/v"]]
    {
        let mut child =
            glacierfs(home.path(), arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
        drop(child.stdout.take());
        let output = child.wait_with_output().expect("it ends");
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{arguments:?}");
        assert_eq!(output.status.code(), Some(0), "{arguments:?}");
    }
}

/// Promise: man pages and completions come for every command.
#[test]
fn manual_and_completions() {
    let home = tempfile::tempdir().expect("a temporary directory");
    let (code, _, stderr) = run(&mut glacierfs(home.path(), &["man", &home.path().to_string_lossy()]));
    assert_eq!((code, stderr.as_str()), (0, ""));
    for page in ["glacierfs.1", "glacierfs-mount.1", "glacierfs-vault-create.1", "glacierfs-config-show.1"] {
        let text = std::fs::read_to_string(home.path().join(page)).expect(page);
        assert!(text.contains(".SH NAME"), "{page}");
    }
    for shell in ["bash", "zsh", "fish"] {
        let (code, stdout, _) = run(&mut glacierfs(home.path(), &["completions", shell]));
        assert!(code == 0 && stdout.contains("umount"), "{shell}");
    }
}
