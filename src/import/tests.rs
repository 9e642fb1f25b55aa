//! Databases as the tools make them, and what is nearly one.

use proptest::prelude::*;

use super::*;

fn database(directory: &Path, sql: &str) -> std::path::PathBuf {
    let path = directory.join("db");
    let conn = Connection::open(&path).expect("a database");
    conn.execute_batch(sql).expect("rows");
    path
}

fn paths(import: &Import) -> Vec<(String, Vec<String>)> {
    let text = |path: &Vec<u8>| String::from_utf8_lossy(path).into_owned();
    import.named.iter().map(|named| (named.archive_id.clone(), named.paths.iter().map(text).collect())).collect()
}

/// Promise: Synology's mapping is read: share and path, the current version first, all paths of a shared archive, and
/// rows that name nothing or something impossible are counted.
#[test]
fn synology_mapping() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = database(
        directory.path(),
        "CREATE TABLE file_info_tb (key INTEGER PRIMARY KEY, shareName TEXT, basePath TEXT, archiveID TEXT,
             lastBkpTime INTEGER, fileSize INTEGER, archiveVersion INTEGER, current INTEGER, checksum TEXT);
         INSERT INTO file_info_tb VALUES
             (1, 'photo', '2013/a.jpg', 'old-ID_1', 100, 5, 1, 0, 'x'), (2, 'photo', '2013/a.jpg', 'new-ID_2', 200, 5, 2, 1, 'y'),
             (3, 'photo', '/copy of a.jpg', 'new-ID_2', 200, 5, 2, 1, 'y'), (4, 'photo', '2013', '', 200, 0, 1, 1, ''),
             (5, 'photo', '../../etc/passwd', 'ID5', 1, 1, 1, 1, ''), (6, 'photo', 'b', 'not an ID', 1, 1, 1, 1, ''),
             (7, 'photo', NULL, 'ID7', 1, 1, 1, 1, ''), (8, 'photo', X'ff', 'ID8', 1, 1, 1, 1, '');",
    );
    let import = read(Format::Synology, &path).expect("read");
    let own = |paths: &[&str]| paths.iter().map(|path| (*path).to_owned()).collect::<Vec<_>>();
    assert_eq!(
        paths(&import),
        [
            ("new-ID_2".to_owned(), own(&["photo/2013/a.jpg", "photo/copy of a.jpg"])),
            ("ID8".to_owned(), own(&["photo/\u{fffd}"])),
            ("old-ID_1".to_owned(), own(&["photo/2013/a.jpg"])),
        ]
    );
    assert_eq!((import.nameless, import.unreadable, import.problems.len()), (2, 2, 2), "{:?}", import.problems);
}

/// Promise: glacier-cli's cache is read: what wasn't deleted, with its vault.
#[test]
fn glacier_cli_cache() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = database(
        directory.path(),
        "CREATE TABLE archive (id VARCHAR NOT NULL, name VARCHAR, vault VARCHAR NOT NULL, key VARCHAR NOT NULL,
             last_seen_upstream INTEGER, created_here INTEGER, deleted_here INTEGER, PRIMARY KEY (id));
         INSERT INTO archive VALUES ('a1', 'home.tar', 'v', 'AKID', NULL, 100, NULL), ('a2', 'home.tar', 'w', 'AKID', 9, 200, NULL),
             ('a3', 'gone', 'v', 'AKID', 9, 100, 300), ('a4', NULL, 'v', 'AKID', 9, 100, NULL), ('a5', '..', 'v', 'AKID', 9, 100, NULL);",
    );
    let import = read(Format::GlacierCli, &path).expect("read");
    let found: Vec<_> = import.named.iter().map(|named| (named.vault.as_deref(), named.archive_id.as_str())).collect();
    assert_eq!(found, [(Some("w"), "a2"), (Some("v"), "a1")]);
    assert_eq!((import.nameless, import.unreadable), (1, 1));
}

/// Promise: every version of mt-aws-glacier's journal is read, deletions included, the newest first.
#[test]
fn mt_aws_journal() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("journal");
    let hash = "a".repeat(64);
    let lines = [
        format!("1352924100 CREATED id0 5 {hash} old file with blanks"),
        "1352924100 DELETED id9 x".to_owned(),
        "1352924101 RETRIEVE_JOB id0".to_owned(),
        format!("A\t1352924178\tCREATED\tid1\t7\t1352924000\t{hash}\tdir/файл"),
        format!("B\t1352924179\tCREATED\tid2\t8\t-5\t{hash}\tdir/new"),
        format!("B\t1352924180\tCREATED\tid3\t8\tNONE\t{hash}\tdir/none"),
        format!("C\t1352924181\tCREATED\tid4\t8\t1352924000\t{hash}\tdir/gone"),
        "B\t1352924182\tDELETED\tid4\tdir/gone".to_owned(),
        "B\t1352924183\tRETRIEVE_JOB\tid1\tjob".to_owned(),
        format!("B\t1352924184\tCREATED\tid5\t8\tNONE\t{hash}\tid5"),
        format!("B\t1352924185\tCREATED\tid6\t8\tNONE\t{hash}\t../x"),
        "B\t1352924186\tCREATED\tid7\t0\tNONE\tshort\tunknown hash\r".to_owned(),
        "D\t1\tCREATED".to_owned(),
        "B\t13529".to_owned(),
    ];
    std::fs::write(&path, lines.join("\n")).expect("a journal");
    let import = read(Format::MtAwsGlacier, &path).expect("read");
    let found: Vec<_> = import
        .named
        .iter()
        .map(|named| {
            let path = String::from_utf8_lossy(&named.paths[0]).into_owned();
            (named.archive_id.as_str(), path, named.mtime.map(Timestamp::as_second), named.archive.map(|one| one.0))
        })
        .collect();
    assert_eq!(
        found,
        [
            ("id3", "dir/none".to_owned(), None, Some(8)),
            ("id2", "dir/new".to_owned(), Some(-5), Some(8)),
            ("id1", "dir/файл".to_owned(), Some(1_352_924_000), Some(7)),
            ("id0", "old file with blanks".to_owned(), None, Some(5)),
            ("id7", "unknown hash".to_owned(), None, None),
        ]
    );
    assert_eq!((import.nameless, import.unreadable), (1, 3), "{:?}", import.problems);
    assert!(import.problems.iter().any(|problem| problem.starts_with("line 14 ")), "{:?}", import.problems);
}

/// Promise: a file that is something else is refused with what it lacks, and isn't changed.
#[test]
fn other_files_are_refused() {
    let directory = tempfile::tempdir().expect("a directory");
    let text = directory.path().join("text");
    std::fs::write(&text, "a list\nof things\n").expect("a file");
    let db = database(directory.path(), "CREATE TABLE other (a);");
    for (format, path, says) in [
        (Format::Synology, &text, "SQLite"),
        (Format::GlacierCli, &text, "SQLite"),
        (Format::MtAwsGlacier, &text, "journal"),
        (Format::MtAwsGlacier, &db, "journal"),
        (Format::Synology, &db, "file_info_tb has no column shareName"),
        (Format::GlacierCli, &db, "archive has no column id"),
        (Format::Synology, &directory.path().join("none"), "No such file"),
    ] {
        let before = std::fs::read(path).ok();
        let error = read(format, path).expect_err("refused").to_string();
        assert!(error.contains(says), "{error}");
        assert_eq!(std::fs::read(path).ok(), before);
    }
    std::fs::write(&text, "").expect("a file");
    assert_eq!(read(Format::MtAwsGlacier, &text).expect("an empty journal"), Import::default());
}

proptest! {
    /// Promise: no bytes make the reader of journals panic, and none yield a path that leads out of a vault.
    #[test]
    fn any_journal_is_survived(lines in prop::collection::vec(
        ("([ABCD0]\t)?[0-9]{0,21}[\t ](CREATED|DELETED|RETRIEVE_JOB)?", prop::collection::vec("[a-z0-9./-]{0,8}|NONE|\\PC", 0..7)), 0..10,
    ), tabs: bool, rest in prop::collection::vec(any::<u8>(), 0..50)) {
        let separator = if tabs { "\t" } else { " " };
        let text: String = lines.iter().map(|(head, fields)| format!("{head}{separator}{}\n", fields.join(separator))).collect();
        fuzzing::journal(&[text.as_bytes(), &rest].concat());
    }
}
