//! Vaults that other tools filled: names from descriptions, and from the tools' own databases.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;
use std::time::SystemTime;

use glacierfs::glacier::treehash::tree_hash;
use rusqlite::Connection;

use super::support::Place;
use super::support::Serve;
use super::support::until;

/// A mount of an endpoint that others reach too, with a vault `v`.
fn mounted() -> (Place, Serve) {
    let place = Place::new();
    let serve = Serve::start(&place, "127.0.0.1:0");
    place.mount_endpoint(&serve.url, &[]);
    fs::create_dir(place.path("mnt/v")).expect("a vault");
    (place, serve)
}

/// Puts an archive of `data` into vault `v` as another tool would; its ID.
fn put(place: &Place, serve: &Serve, description: &str, data: &str) -> String {
    fs::write(place.path("data"), data).expect("a file");
    let mut command: Command =
        place.command(&["archive", "put", "v", &place.text("data"), "--description", description]);
    command.args(["--endpoint", &serve.url, "--region", "us-east-1"]);
    command.env("AWS_SHARED_CREDENTIALS_FILE", place.path("served/credentials")).env("AWS_PROFILE", "glacierfs");
    let output = command.output().expect("it starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn inventory(place: &Place) -> String {
    place.ok(&["inventory", "v", "--timeout", "20s", "--mount", &place.text("mnt")])
}

/// What is in each regular file of vault `v`, which is recalled for it, and its time.
fn files(place: &Place) -> BTreeMap<String, (String, i64)> {
    let root = place.path("mnt/v");
    let mut found = BTreeMap::new();
    let mut waiting = vec![root.clone()];
    while let Some(next) = waiting.pop() {
        for entry in fs::read_dir(&next).expect("a directory") {
            let path = entry.expect("an entry").path();
            let attributes = fs::symlink_metadata(&path).expect("attributes");
            if attributes.is_dir() {
                waiting.push(path);
                continue;
            }
            let data = fs::read_to_string(&path).expect("recalled");
            assert_eq!(attributes.size(), data.len() as u64);
            let name = path.strip_prefix(&root).expect("below it").to_string_lossy().into_owned();
            found.insert(name, (data, attributes.mtime()));
        }
    }
    found
}

fn names(place: &Place) -> Vec<String> {
    files(place).into_keys().collect()
}

/// Runs an import; what its JSON says.
fn import(place: &Place, arguments: &[&str], code: i32) -> serde_json::Value {
    let mnt = place.text("mnt");
    let done = place.run(&[&["import", "--json", "--mount", &mnt], arguments].concat());
    assert_eq!(done.code, code, "{}{}\n{}", done.stdout, done.stderr, place.log());
    serde_json::from_str(&done.stdout).expect("JSON")
}

fn database(path: &Path, sql: &str) {
    Connection::open(path).and_then(|conn| conn.execute_batch(sql)).expect("a database");
}

/// Promise: archives with the descriptions of every known tool have their names, times and bytes in the mount; hostile and
/// damaged ones are in `.unnamed/`; of two with one name the newer has it and the older is in the trash by its path.
#[test]
fn descriptions_become_names() {
    let (place, serve) = mounted();
    // A description, the name that it means, and the time of the file if it says one.
    let mut expected = BTreeMap::new();
    for (n, (description, path, mtime)) in [
        (
            "mt2 eyJmaWxlbmFtZSI6ItC00LjRgNC10LrRgtC-0YDQuNGPL9GE0LDQudC7IiwibXRpbWUiOiIyMDEyMTEwNVQxNDAyNThaIn0",
            "директория/файл",
            Some(1_352_124_178),
        ),
        (
            "<m><v>4</v><p>L3NhbXBsZS8xMjM0LnBkZg==</p><lm>20190121T085242Z</lm></m>",
            "sample/1234.pdf",
            Some(1_548_060_762),
        ),
        ("<m><v>4</v><p>YS5naw==</p><ce>1:1:4340ebcf79712dc5e3ef7d50bab98ba5:54687</ce></m>", "a.gk", None),
        (
            r#"{"Path":"C:\\c01+AF8-s00\\x","UTCDateModified":"20100310T110623Z","Flags":0}"#,
            "c01_s00/x",
            Some(1_268_219_183),
        ),
        (r#"{"path": "/sample/5.pdf", "type": "file"}"#, "sample/5.pdf", None),
        ("GPGHMACSHA1--5f4dcc3b", "GPGHMACSHA1--5f4dcc3b", None),
    ]
    .into_iter()
    .enumerate()
    {
        put(&place, &serve, description, &format!("data {n}"));
        expected.insert(path.to_owned(), (format!("data {n}"), mtime));
    }
    for (n, description) in
        ["", ".glacierfs/snapshots/x", "../../etc/passwd", "mt2 %%%", "<m><p>Li4vLi4vYQ==</p></m>", r#"{"Path":1}"#]
            .into_iter()
            .enumerate()
    {
        let id = put(&place, &serve, description, &format!("nameless {n}"));
        expected.insert(format!(".unnamed/{id}"), (format!("nameless {n}"), None));
    }
    // A marker of a folder, and an archive whose name is that of a directory.
    let marker = put(&place, &serve, r#"{"Path":"sample/empty/","Flags":0}"#, "0");
    expected.insert(format!(".unnamed/{marker}"), ("0".to_owned(), None));
    put(&place, &serve, "twice", "older");
    let second = || SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("a time").as_secs();
    let then = second();
    until("the next second, which inventories tell times in", || second() > then);
    put(&place, &serve, "twice", "newer");
    expected.insert("twice".to_owned(), ("newer".to_owned(), None));

    let told = inventory(&place);
    for words in ["7 of these without a name", "1 of these compressed or encrypted", "1 further archive"] {
        assert!(told.contains(words), "{words}: {told}");
    }
    let now = second() as i64;
    let found = files(&place);
    assert_eq!(found.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
    for (path, (data, mtime)) in &expected {
        let (there, time) = &found[path];
        assert_eq!(there, data, "{path}");
        match mtime {
            Some(mtime) => assert_eq!(time, mtime, "{path}"),
            // When the vault got it.
            None => assert!((then as i64 - 60..=now).contains(time), "{path}: {time}"),
        }
    }
    assert!(place.path("mnt/v/sample/empty").is_dir());
    let trash = place.ok(&["trash", "list", "--json", "--mount", &place.text("mnt")]);
    assert!(trash.contains("v/twice"), "{trash}");
    place.ok(&["trash", "restore", "--beside", &place.text("mnt/v/twice")]);
    assert_eq!(fs::read_to_string(place.path("mnt/v/twice~1")).expect("recalled"), "older");

    // Also one that comes in later takes the name.
    let then = second();
    until("the next second", || second() > then);
    put(&place, &serve, "twice", "newest");
    inventory(&place);
    assert_eq!(fs::read_to_string(place.path("mnt/v/twice")).expect("recalled"), "newest");
    let trash = place.ok(&["trash", "list", "--json", "--mount", &place.text("mnt")]);
    assert!(trash.contains("v/twice"), "{trash}");

    // A name that a directory has by now, and one below a file, aren't hidden.
    let in_the_way = put(&place, &serve, "sample", "not a directory");
    let below = put(&place, &serve, "twice/deeper", "below a file");
    inventory(&place);
    let found = files(&place);
    assert_eq!(found[&format!(".unnamed/{in_the_way}")].0, "not a directory");
    assert_eq!(found[&format!(".unnamed/{below}")].0, "below a file");
}

/// Promise: Synology's mapping names a vault's archives: one archive under several names is one file with links, older
/// versions stay where they are and are told, unknown archives aren't invented, a dry run and a second run change nothing.
#[test]
fn synology_mapping() {
    let (place, serve) = mounted();
    fs::create_dir(place.path("mnt/v_mapping")).expect("a vault");
    let ids: Vec<String> = ["one", "two", "three"].iter().map(|data| put(&place, &serve, "", data)).collect();
    let told = inventory(&place);
    assert!(told.contains("v_mapping may have their names"), "{told}");
    let [one, two, three] = &ids[..] else { panic!("{ids:?}") };
    let db = place.path("mapping.sqlite3");
    database(
        &db,
        &format!(
            "CREATE TABLE file_info_tb (key INTEGER PRIMARY KEY, shareName TEXT, basePath TEXT, archiveID TEXT,
                 lastBkpTime INTEGER, fileSize INTEGER, archiveVersion INTEGER, current INTEGER, checksum TEXT);
             INSERT INTO file_info_tb VALUES (1, 'photo', 'a.jpg', '{one}', 9, 3, 1, 0, ''), (2, 'photo', 'a.jpg', '{two}', 10, 3, 2, 1, ''),
                 (3, 'photo', 'copy/b.jpg', '{three}', 10, 5, 1, 1, ''), (4, 'photo', 'b.jpg', '{three}', 10, 5, 1, 1, ''),
                 (5, 'photo', 'gone.jpg', 'NotInTheVault', 10, 5, 1, 1, '');"
        ),
    );
    let file = db.to_string_lossy().into_owned();
    let before = names(&place);
    let dry = import(&place, &["--dry-run", "synology", &file, "v"], 8);
    assert_eq!(dry["outcomes"], serde_json::json!({"named": 2, "taken": 1, "unknown": 1}), "{dry}");
    assert_eq!(names(&place), before);
    let bytes = fs::read(&db).expect("the database");
    let done = import(&place, &["synology", &file, &place.text("mnt/v")], 8);
    assert_eq!(done["outcomes"], dry["outcomes"], "{done}");
    assert!(fs::read(&db).expect("the database") == bytes, "it is only read");
    let found = files(&place);
    let data = |path: &str| found[path].0.as_str();
    assert_eq!(found.len(), 4);
    assert_eq!((data("photo/a.jpg"), data("photo/b.jpg"), data("photo/copy/b.jpg")), ("two", "three", "three"));
    assert_eq!(data(&format!(".unnamed/{one}")), "one");
    let ino = |name: &str| fs::metadata(place.path("mnt/v/photo").join(name)).expect("attributes").ino();
    assert_eq!(ino("b.jpg"), ino("copy/b.jpg"));
    let said = place.run(&["import", "synology", &file, "v", "--mount", &place.text("mnt")]);
    assert_eq!(said.code, 8);
    for words in ["v/photo/a.jpg: something is there", &format!("v/.unnamed/{one}")] {
        assert!(said.stderr.contains(words), "{words}: {}", said.stderr);
    }
    for words in ["2 archives named so already", "1 archive not named", "1 archive unknown"] {
        assert!(said.stdout.contains(words), "{words}: {}", said.stdout);
    }
    assert_eq!(files(&place), found);
    let unnamed = place.run(&["import", "synology", &file, "--mount", &place.text("mnt")]);
    assert_eq!(unnamed.code, 2, "the vault has to be named: {}", unnamed.stderr);
}

/// Promise: glacier-cli's cache names archives in the vaults that it tells; what somebody renamed is left alone.
#[test]
fn glacier_cli_cache() {
    let (place, serve) = mounted();
    let ids: Vec<String> = ["one", "two", "three"].iter().map(|data| put(&place, &serve, "", data)).collect();
    inventory(&place);
    let [one, two, three] = &ids[..] else { panic!("{ids:?}") };
    fs::rename(place.mnt().join(format!("v/.unnamed/{two}")), place.path("mnt/v/mine")).expect("renamed");
    let db = place.path("db");
    database(
        &db,
        &format!(
            "CREATE TABLE archive (id VARCHAR NOT NULL, name VARCHAR, vault VARCHAR NOT NULL, key VARCHAR NOT NULL,
                 last_seen_upstream INTEGER, created_here INTEGER, deleted_here INTEGER, PRIMARY KEY (id));
             INSERT INTO archive VALUES ('{one}', 'home.tar', 'v', 'AKID', NULL, 100, NULL), ('{two}', 'two.tar', 'v', 'AKID', 9, 200, NULL),
                 ('{three}', 'three.tar', 'v', 'AKID', 9, 100, 300), ('elsewhere', 'x', 'nowhere', 'AKID', 9, 100, NULL);"
        ),
    );
    let file = db.to_string_lossy().into_owned();
    let done = import(&place, &["glacier-cli", &file], 8);
    assert_eq!(done["outcomes"], serde_json::json!({"named": 1, "left": 1}), "{done}");
    assert!(done["problems"][0].as_str().expect("a problem").contains("nowhere"), "{done}");
    assert_eq!(names(&place), [format!(".unnamed/{three}"), "home.tar".to_owned(), "mine".to_owned()]);
    assert_eq!(import(&place, &["glacier-cli", &file, "v"], 0)["outcomes"]["already"], 1);
}

/// Promise: mt-aws-glacier's journal names archives whose descriptions all say the same, with their times, also those that
/// became doubles in the trash; and what no inventory has named yet is there at once, with its
/// bytes if the vault has them.
#[test]
fn mt_aws_journal() {
    let (place, serve) = mounted();
    let ids: Vec<String> = ["one", "two"].iter().map(|data| put(&place, &serve, "mtglacier archive", data)).collect();
    inventory(&place);
    assert_eq!(names(&place), ["mtglacier archive"]);
    let late = put(&place, &serve, "mtglacier archive", "three");
    let hash = |data: &str| tree_hash(data.as_bytes());
    let journal = place.path("journal");
    let line = |id: &str, mtime: &str, data: &str, path: &str| {
        format!("B\t1352924178\tCREATED\t{id}\t{}\t{mtime}\t{}\t{path}\n", data.len(), hash(data))
    };
    let lines = [
        line(&ids[0], "1352924000", "one", "d/первый"),
        line(&ids[1], "-5", "two", "d/second"),
        line(&late, "NONE", "three", "d/third"),
        line("NotInTheVault", "NONE", "lost", "lost"),
        "B\t1352924179\tDELETED\tsomething\tx\n".to_owned(),
    ];
    fs::write(&journal, lines.concat()).expect("a journal");
    let file = journal.to_string_lossy().into_owned();
    let done = import(&place, &["mt-aws-glacier", &file, "v"], 0);
    assert_eq!(done["outcomes"], serde_json::json!({"named": 2, "adopted": 2}), "{done}");
    // What the journal has and the vault hasn't can be seen, not read, and is told.
    let lost = place.path("mnt/v/lost");
    assert_eq!(fs::metadata(&lost).expect("attributes").size(), 4);
    fs::read(&lost).expect_err("its archive isn't there");
    let told = inventory(&place);
    assert!(told.contains("3 known already") && !told.contains("new"), "{told}");
    assert!(told.contains("1 known here but not in the inventory"), "{told}");
    fs::remove_file(&lost).expect("removed");
    let found = files(&place);
    assert_eq!(found.keys().collect::<Vec<_>>(), ["d/second", "d/third", "d/первый"]);
    assert_eq!(found["d/первый"], ("one".to_owned(), 1_352_924_000));
    assert_eq!(found["d/second"], ("two".to_owned(), -5));
    assert_eq!(found["d/third"], ("three".to_owned(), 1_352_924_178));
    place.ok(&["umount", &place.text("mnt")]);
    place.mount_endpoint(&serve.url, &[]);
    assert_eq!(files(&place), found);
}
