//! Losing things.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::bytes;
use super::chill;
use super::flush;
use super::mount;
use super::mounted;
use super::mounted_with;
use super::sh;
use super::support::Place;
use super::support::Serve;
use super::told;

#[test]
fn the_cache() {
    let place = mounted();
    fs::write(place.path("mnt/v/f"), bytes(2_000_000)).expect("a file");
    chill(&place);
    assert_eq!(told(&place, "v/f", "local_bytes").as_deref(), Some("0"));
    assert!(fs::read(place.path("mnt/v/f")).expect("recalled") == bytes(2_000_000));
}

#[test]
fn the_catalog() {
    let place = mounted();
    // A vault without any inventory can't be rebuilt.
    fs::remove_dir(place.path("mnt/w")).expect("an empty vault");
    sh(
        &place,
        "v",
        "mkdir -p a/b; echo one > a/b/one; echo two > two; chmod 640 two; touch -d @1111111111.125 a/b/one",
    );
    let tell = || sh(&place, "v", "find . -type f -exec stat -c '%n %s %a %.Y' {} + | sort");
    let before = tell();
    flush(&place);
    place.ok(&["umount", &place.text("mnt")]);
    fs::create_dir(place.path("aside")).expect("a directory");
    fs::rename(place.path("state/store"), place.path("aside/store")).expect("the store put aside");
    fs::remove_dir_all(place.path("state")).expect("a lost catalog");
    mount(&place, &[]);
    place.ok(&["rebuild", "--timeout", "30s", &place.text("mnt")]);
    assert_eq!(tell(), before);
    assert_eq!(fs::read_to_string(place.path("mnt/v/two")).expect("recalled"), "two\n");

    // Bytes that the new catalog doesn't know are set aside, not deleted.
    place.ok(&["umount", &place.text("mnt")]);
    let unknown = place.path("state/store/00/00000000deadbe00");
    fs::write(&unknown, "perhaps precious").expect("a file");
    mount(&place, &[]);
    let kept = place.path("state/store/lost+found/00000000deadbe00");
    super::support::until("the sweep", || kept.exists());
    assert_eq!(fs::read_to_string(kept).expect("kept"), "perhaps precious");
    assert!(!unknown.exists());
}

#[test]
fn snapshots() {
    let place = mounted_with(&["--snapshot-delay", "200ms"]);
    let (v, own) = (place.path("mnt/v"), place.path("mnt/v/.glacierfs/snapshots"));
    let script = "mkdir -p a/empty; echo one >a/one; ln a/one a/two; ln -s one a/link; mkfifo a/pipe; : >a/none
        chown 12:34 a/one; chmod 2751 a/empty; setfattr -n user.n -v v a/none; touch -d @1111111111.125 a";
    sh(&place, "v", script);
    flush(&place);
    super::support::until("a snapshot by itself", || own.read_dir().is_ok_and(|mut names| names.next().is_some()));
    let tell = || {
        let names = "find . -mindepth 1 -printf '%p %i %m %U:%G %n %s %T@ %C@ %l\\n' | sort";
        sh(&place, "v", &format!("{names}; getfattr -Rd a"))
    };
    let before = tell();
    place.ok(&["snapshot", "v", "--wait", "--mount", &place.text("mnt")]);
    assert!(!fs::read_dir(&v).expect("a vault").any(|entry| entry.expect("an entry").file_name() == ".glacierfs"));
    let one = own.read_dir().expect("by its name").next().expect("a snapshot").expect("an entry").path();
    assert!(fs::read(&one).is_ok_and(|bytes| !bytes.is_empty()));
    let refused = fs::remove_file(&one).expect_err("it is glacierfs's own");
    assert_eq!(refused.kind(), std::io::ErrorKind::PermissionDenied);
    place.ok(&["umount", &place.text("mnt")]);
    fs::remove_dir_all(place.path("state")).expect("a lost state directory");
    mount(&place, &[]);
    // The vault without an archive has no inventory.
    place.run(&["rebuild", "--timeout", "30s", &place.text("mnt")]);
    assert_eq!(tell(), before);
}

#[test]
fn rot() {
    let place = mounted();
    fs::write(place.path("mnt/v/f"), bytes(100_000)).expect("a file");
    flush(&place);
    let scrub = || place.run(&["scrub", "--timeout", "30s", &place.text("mnt")]);
    assert_eq!(scrub().code, 0);
    let rotten = Path::new(&place.text("state/store")).to_owned();
    sh(
        &place,
        "v",
        &format!(
            "find '{}' -size 98k -type f -exec sh -c 'printf XX | dd of=$1 conv=notrunc' - {{}} ';'",
            rotten.display()
        ),
    );
    let found = scrub();
    assert_eq!(found.code, 8, "{}", found.stdout);
    assert!(found.stderr.contains("v/f:"), "{}", found.stderr);
    assert!(fs::read(place.path("mnt/v/f")).expect("recalled") == bytes(100_000));
    assert_eq!(scrub().code, 0);
}

#[test]
fn proof() {
    let place = Place::new();
    let serve = Serve::start(&place, "127.0.0.1:0");
    place.mount_endpoint(&serve.url, &["--upload-delay", "0"]);
    fs::create_dir(place.path("mnt/v")).expect("a vault");
    fs::write(place.path("mnt/v/f"), bytes(10_000)).expect("a file");
    flush(&place);
    let verify = |more: &[&str]| {
        let mnt = place.text("mnt");
        place.run(&[&["verify", "--timeout", "30s", "--mount", &mnt], more].concat())
    };
    assert_eq!(verify(&[]).code, 0);
    place.ok(&["evict", &place.text("mnt/v")]);
    let sampled = verify(&["--data", "1MiB"]);
    assert!(sampled.code == 0 && sampled.stdout.contains("retrieved 1 file"), "{}{}", sampled.stdout, sampled.stderr);
    fs::write(place.path("stray"), "stray").expect("a file");
    let mut put = place.command(&[
        "archive",
        "put",
        "v",
        &place.text("stray"),
        "--endpoint",
        &serve.url,
        "--region",
        "us-east-1",
    ]);
    put.env("AWS_SHARED_CREDENTIALS_FILE", place.path("served/credentials")).env("AWS_PROFILE", "glacierfs");
    let put = super::support::finished(put.env("AWS_EC2_METADATA_DISABLED", "true"));
    assert_eq!(put.code, 0, "{}", put.stderr);
    let found = verify(&[]);
    assert!(found.code == 8 && found.stdout.contains("1 unknown here"), "{}{}", found.stdout, found.stderr);
}

#[test]
fn the_program() {
    let place = Place::new();
    let serve = Serve::start(&place, "127.0.0.1:0");
    place.mount_endpoint(&serve.url, &["--upload-delay", "0"]);
    fs::create_dir(place.path("mnt/v")).expect("a vault");
    fs::write(place.path("mnt/v/named file"), bytes(1_500_000)).expect("a file");
    flush(&place);
    let archive = told(&place, "v/named file", "archive_id").expect("an archive");
    place.ok(&["umount", &place.text("mnt")]);
    // Nothing but the service's own interface, and no state of a mount.
    fs::remove_dir_all(place.path("state")).expect("removed");
    let mut get = place.command(&["archive", "get", "v", &archive, "--output", &place.text("plain")]);
    get.args(["--endpoint", &serve.url, "--region", "us-east-1"]);
    get.env("AWS_SHARED_CREDENTIALS_FILE", place.path("served/credentials")).env("AWS_PROFILE", "glacierfs");
    let output = get.output().expect("it starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(fs::read(place.path("plain")).expect("retrieved") == bytes(1_500_000));
    // What the description says, a mount that knows nothing makes a name of again.
    place.mount_endpoint(&serve.url, &[]);
    place.ok(&["rebuild", "--timeout", "30s", &place.text("mnt")]);
    assert_eq!(sh(&place, "v", "ls"), "named file\n");
}

/// Puts the file `data` into vault `v` as another program would; the archive's ID.
fn put(place: &Place, serve: &Serve, description: &str) -> String {
    let mut command = place.command(&["archive", "put", "v", &place.text("data"), "--description", description]);
    command.args(["--endpoint", &serve.url, "--region", "us-east-1"]);
    command.env("AWS_SHARED_CREDENTIALS_FILE", place.path("served/credentials")).env("AWS_PROFILE", "glacierfs");
    let output = command.output().expect("it starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

#[test]
fn archives_of_others() {
    let place = Place::new();
    let serve = Serve::start(&place, "127.0.0.1:0");
    place.mount_endpoint(&serve.url, &[]);
    fs::create_dir(place.path("mnt/v")).expect("a vault");
    fs::write(place.path("data"), "of another program").expect("a file");
    put(&place, &serve, "backups/2026/home.tar");
    put(&place, &serve, "");
    fs::write(place.path("mnt/v/own"), "own").expect("a file");
    let inventory = || place.ok(&["inventory", "v", "--timeout", "20s", "--mount", &place.text("mnt")]);
    inventory();
    assert_eq!(fs::read_to_string(place.path("mnt/v/own")).expect("nothing is deleted"), "own");
    let names = sh(&place, "v", "find . -type f | sort");
    assert_eq!(names.lines().count(), 3, "{names}");
    let unnamed: Vec<_> = names.lines().filter(|name| name.starts_with("./.unnamed/")).collect();
    assert!(!unnamed.is_empty(), "{names}");
    for name in names.lines().filter(|name| *name != "./own") {
        let path = place.path("mnt/v").join(name);
        assert_eq!(fs::metadata(&path).expect("attributes").size(), 18);
        assert_eq!(fs::read_to_string(&path).expect("recalled"), "of another program");
    }
}

/// An endpoint that others reach too, and a mount of it with the vault `v`.
fn shared() -> (Place, Serve) {
    let place = Place::new();
    let serve = Serve::start(&place, "127.0.0.1:0");
    place.mount_endpoint(&serve.url, &[]);
    fs::create_dir(place.path("mnt/v")).expect("a vault");
    fs::write(place.path("data"), "of another program").expect("a file");
    (place, serve)
}

#[test]
fn descriptions_of_other_tools() {
    let (place, serve) = shared();
    put(&place, &serve, "mt2 eyJmaWxlbmFtZSI6ImZpbGUiLCJtdGltZSI6IjIwMTIxMTE0VDIwMTYxOFoifQ");
    put(&place, &serve, "<m><v>4</v><p>L3NhbXBsZS8xMjM0LnBkZg==</p><lm>20190121T085242Z</lm><ce>1:0:x:5</ce></m>");
    put(&place, &serve, r#"{"Path":"C:\\d\\c01+AF8-s00","UTCDateModified":"20100310T110623Z","Flags":0}"#);
    put(&place, &serve, r#"{"Path":"folder/","Flags":0}"#);
    put(&place, &serve, "twice");
    put(&place, &serve, "twice");
    for nameless in ["../up", "mt2 damaged", "<m></m>"] {
        put(&place, &serve, nameless);
    }
    let told = place.ok(&["inventory", "v", "--timeout", "20s", "--mount", &place.text("mnt")]);
    assert!(told.contains("1 of these compressed or encrypted"), "{told}");
    let named = sh(&place, "v", "find . -path ./.unnamed -prune -o -type f -printf '%p %T@\n' | cut -d. -f-3 | sort");
    for line in ["./file 1352924178", "./sample/1234.pdf", "./d/c01_s00 1268219183", "./twice "] {
        assert!(named.contains(line), "{line}: {named}");
    }
    assert_eq!(named.lines().count(), 4, "{named}");
    assert_eq!(sh(&place, "v", "ls .unnamed | wc -l; ls -d folder"), "4\nfolder\n");
    let trash = place.ok(&["trash", "list", "--json", "--mount", &place.text("mnt")]);
    assert_eq!(trash.matches("v/twice").count(), 1, "{trash}");

    put(&place, &serve, "sample");
    put(&place, &serve, "twice/below");
    place.ok(&["inventory", "v", "--timeout", "20s", "--mount", &place.text("mnt")]);
    assert_eq!(
        sh(&place, "v", "ls .unnamed | wc -l; cat .unnamed/*"),
        format!("6\n{}", "of another program".repeat(6))
    );
}

#[test]
fn databases_of_other_tools() {
    let (place, serve) = shared();
    let ids: Vec<String> = ["", "", "a mere text", "chosen"].iter().map(|text| put(&place, &serve, text)).collect();
    let inventory = || place.ok(&["inventory", "v", "--timeout", "20s", "--mount", &place.text("mnt")]);
    inventory();
    fs::write(place.path("mnt/v/taken"), "own").expect("a file");
    sh(&place, "v", "mv chosen 'my choice'");
    let late = put(&place, &serve, "");
    let hash = told(&place, "v/a mere text", "tree_hash").expect("a tree hash");
    let journal: String =
        [(&ids[0], "d/one"), (&ids[1], "taken"), (&ids[2], "d/text"), (&ids[3], "d/four"), (&late, "d/late")]
            .iter()
            .map(|(id, path)| format!("B\t1352924178\tCREATED\t{id}\t18\t1352924000\t{hash}\t{path}\n"))
            .collect();
    fs::write(place.path("journal"), journal).expect("a journal");
    let done = place.run(&["import", "mt-aws-glacier", &place.text("journal"), &place.text("mnt/v")]);
    assert_eq!(done.code, 8, "{}{}", done.stdout, done.stderr);
    assert!(done.stderr.contains("v/taken: ") && done.stderr.contains(&ids[1]), "{}", done.stderr);
    let named = sh(&place, "v", "find . -type f -printf '%p %Ts\n' | grep -v -e taken -e choice -e unnamed | sort");
    assert_eq!(named, "./d/late 1352924000\n./d/one 1352924000\n./d/text 1352924000\n");
    assert_eq!(
        sh(&place, "v", "cat d/late taken; ls .unnamed; ls"),
        format!("of another programown{}\nd\nmy choice\ntaken\n", ids[1])
    );

    // A database that knows less: several names, and an archive that no inventory knows.
    let db = rusqlite::Connection::open(place.path("mapping")).expect("a database");
    db.execute_batch(&format!(
        "CREATE TABLE file_info_tb (key, shareName, basePath, archiveID, lastBkpTime, fileSize, archiveVersion, current, checksum);
         INSERT INTO file_info_tb (shareName, basePath, archiveID) VALUES ('s', 'a', '{0}'), ('s', 'b', '{0}'), ('s', 'c', 'unknown');",
        ids[1]
    ))
    .expect("rows");
    let done = place.run(&["import", "synology", &place.text("mapping"), &place.text("mnt/v")]);
    assert_eq!(done.code, 8, "{}{}", done.stdout, done.stderr);
    assert!(done.stdout.contains("1 archive unknown"), "{}", done.stdout);
    assert_eq!(sh(&place, "v/s", "stat -c '%n %h' *"), "a 2\nb 2\n");
    inventory();
    assert_eq!(sh(&place, "v/s", "cat a"), "of another program");
}
