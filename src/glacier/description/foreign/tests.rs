//! Frozen samples of what other tools write, and what is nearly that.

use proptest::prelude::*;

use super::*;
use crate::glacier::description;
use crate::glacier::description::Description;

/// Base64 as FastGlacier writes it.
fn base64(bytes: impl AsRef<[u8]>) -> String {
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

fn found(text: &str) -> Option<Foreign> {
    match description::parse(text) {
        Some(Description::Foreign(foreign)) => Some(foreign),
        Some(own) => panic!("{text} is read as {own:?}"),
        None => None,
    }
}

/// Long after all the times of the samples.
fn later() -> Timestamp {
    "2026-01-01T00:00:00Z".parse().expect("a time")
}

fn at(text: &str) -> Option<Timestamp> {
    Some(text.parse().expect("a time"))
}

/// Promise: every known tool's descriptions become paths and times, to the letter.
#[test]
fn frozen_samples() {
    let drive = base64(r"C:\glacier\a.pdf");
    let annex = "GPGHMACSHA1--5f4dcc3b5aa765d61d8327deb882cf99aabbccdd";
    let samples = [
        // mt-aws-glacier, version 2.
        ("mt2 eyJmaWxlbmFtZSI6ImZpbGUiLCJtdGltZSI6IjIwMTIxMTE0VDIwMTYxOFoifQ", "file", at("2012-11-14T20:16:18Z")),
        (
            "mt2 eyJmaWxlbmFtZSI6ItC00LjRgNC10LrRgtC-0YDQuNGPL9GE0LDQudC7IiwibXRpbWUiOiIyMDEyMTEwNVQxNDAyNThaIn0",
            "директория/файл",
            at("2012-11-05T14:02:58Z"),
        ),
        // FastGlacier 4; QNAP HBS has the slash.
        (
            "<m><v>4</v><p>L3NhbXBsZS8xMjM0LnBkZg==</p><lm>20190121T085242Z</lm></m>",
            "sample/1234.pdf",
            at("2019-01-21T08:52:42Z"),
        ),
        (
            "<m>\n  <v>4</v>\n  <p> Z2xhY2llci1kZy5wZGY= </p>\n  <lm> 20120821T170824Z </lm>\n  <ce>0:0:4340ebcf79712dc5e3ef7d50bab98ba5:54687</ce>\n</m>",
            "glacier-dg.pdf",
            at("2012-08-21T17:08:24Z"),
        ),
        (
            "\"<m><v>4</v><p>Z2xhY2llci1kZy5wZGY=</p><lm>20120821T170824Z</lm><ce/></m>\"",
            "glacier-dg.pdf",
            at("2012-08-21T17:08:24Z"),
        ),
        // FastGlacier 3, 2 and 1.
        (
            "<m><v>3</v><p>Z2xhY2llci1kZy5wZGY=</p><lm>20120821T170824Z</lm><ce>0:0:4340ebcf79712dc5e3ef7d50bab98ba5</ce></m>",
            "glacier-dg.pdf",
            at("2012-08-21T17:08:24Z"),
        ),
        (
            "<m><v>2</v><p>Z2xhY2llci1kZy5wZGY=</p><lm>20120821T170824Z</lm></m>",
            "glacier-dg.pdf",
            at("2012-08-21T17:08:24Z"),
        ),
        (
            "<ArchiveMetadata><Path>Z2xhY2llci1kZy5wZGY=</Path><Other>x</Other></ArchiveMetadata>",
            "glacier-dg.pdf",
            None,
        ),
        (&format!("<m><v>4</v><p>{drive}</p></m>"), "glacier/a.pdf", None),
        // CloudBerry.
        (
            r#"{"Path":"c01+AF8-s00","UTCDateModified":"20100310T110623Z","Flags":0}"#,
            "c01_s00",
            at("2010-03-10T11:06:23Z"),
        ),
        (
            r#"{"Path":"C:\\My files\\R+AOk-sum+AOk-.doc","UTCDateModified":"20100310T110623Z"}"#,
            "My files/Résumé.doc",
            at("2010-03-10T11:06:23Z"),
        ),
        (r#"{"Path":"a+b/c","UTCDateModified":"soon","Flags":"x"}"#, "a+b/c", None),
        (
            r#""{\"Path\":\"a\\\\b.txt\",\"UTCDateModified\":\"20100310T110623Z\",\"Flags\":0}""#,
            "a/b.txt",
            at("2010-03-10T11:06:23Z"),
        ),
        (r#""{"Path":"a/b.txt","Flags":0}""#, "a/b.txt", None),
        // QNAP's Glacier app.
        (r#"{"path": "/sample/1234.pdf", "type": "file"}"#, "sample/1234.pdf", None),
        // Names: glacier-cli, aws, git-annex, SAGU.
        ("file.txt", "file.txt", None),
        ("My backup of 2014, part 1", "My backup of 2014, part 1", None),
        ("\"quoted name\"", "quoted name", None),
        (r#""C:\temp\new""#, "temp/new", None),
        ("/sample/1234.pdf", "sample/1234.pdf", None),
        (r"C:\Users\me\a.doc", "Users/me/a.doc", None),
        (r"dir\sub//./x/", "dir/sub/x", None),
        ("a: notes", "a: notes", None),
        ("...", "...", None),
        ("SHA256E-s1048576--hash.ext", "SHA256E-s1048576--hash.ext", None),
        (annex, annex, None),
        ("homeuserphotosIMG_0001.jpg", "homeuserphotosIMG_0001.jpg", None),
        ("mt3 eyJ9", "mt3 eyJ9", None),
    ];
    for (text, path, mtime) in samples {
        let found = found(text).unwrap_or_else(|| panic!("{text} names nothing"));
        assert_eq!((String::from_utf8_lossy(&found.path).as_ref(), found.mtime(later())), (path, mtime), "{text}");
        assert!(!found.is_folder && !found.is_compressed && !found.is_encrypted, "{text}");
    }
    assert_eq!(at("2012-11-14T20:16:18Z").map(Timestamp::as_second), Some(1_352_924_178));
}

/// Promise: mt-aws-glacier's doubly encoded first version, white space, padding and separators are read as it reads them.
#[test]
fn mt_aws_in_all_its_forms() {
    let json = r#"{ "mtime" : " 2012-11-05T 14:02:58.123Z ", "filename" : "директория/файл" }"#;
    let twice: String = json.bytes().map(char::from).collect();
    let spaced: String = base64(json).chars().flat_map(|c| [c, ' ']).collect();
    for text in [
        format!("mt1 {}", base64(&twice)),
        format!("mt1 {}", base64(&twice).trim_end_matches('=').replace('+', "-").replace('/', "_")),
        format!("mt2 {}", base64(json)),
        format!(" mt2  {spaced}"),
        format!("\"mt2 {}\"", base64(json)),
    ] {
        let found = found(&text).expect("a name");
        assert_eq!(String::from_utf8_lossy(&found.path), "директория/файл");
        assert_eq!(found.mtime(later()), at("2012-11-05T14:02:58Z"));
        // What is certain is believed, however close to the upload it is.
        assert_eq!(found.mtime("2012-11-05T14:03:00Z".parse().expect("a time")), at("2012-11-05T14:02:58Z"));
    }
    let without = found(&format!("mt2 {}", base64(r#"{"filename":"a"}"#))).expect("a name");
    assert_eq!((without.path, without.mtime), (b"a".to_vec(), None));
}

/// Promise: years 1000 to 9999 are read, leap seconds too, and nothing that no calendar has.
#[test]
fn times() {
    for (text, expected) in [
        ("10000101T000000Z", "1000-01-01T00:00:00Z"),
        ("9999-12-30t21:59:59,5z", "9999-12-30T21:59:59Z"),
        ("19700101T000000Z", "1970-01-01T00:00:00Z"),
        ("20161231T235960Z", "2017-01-01T00:00:00Z"),
    ] {
        assert_eq!(time(text), at(expected), "{text}");
    }
    for text in [
        "",
        "T",
        "Z",
        "09991231T235959Z",
        "20130229T000000Z",
        "20131301T000000Z",
        "20130101T240000Z",
        "20130101T006000Z",
        "20130101T000062Z",
        "20130101T000000",
        "20130101T00000Z",
        "20130101T000000.xZ",
        "20130101T000000+Z",
        "+0130101T000000Z",
        "2013010яT000000Z",
        "20130101T00000яZ",
    ] {
        assert_eq!(time(text), None, "{text}");
    }
}

/// Promise: a time that may be CrushFTP's, local and of the upload, isn't shown as the file's.
#[test]
fn upload_times_are_no_modification_times() {
    let found = found("<m><v>4</v><p>YQ==</p><lm>20190121T085242Z</lm></m>").expect("a name");
    for (created, is_believed) in [
        ("2019-01-21T08:52:43Z", false),
        ("2019-01-20T18:52:42Z", false),
        ("2019-01-21T20:52:42Z", false),
        ("2019-01-22T08:52:43Z", true),
        ("2026-01-01T00:00:00Z", true),
    ] {
        assert_eq!(found.mtime(created.parse().expect("a time")).is_some(), is_believed, "{created}");
    }
}

/// Promise: bytes that a tool compressed or encrypted are known to be so.
#[test]
fn packed_bytes() {
    for (text, is_compressed, is_encrypted) in [
        ("<m><v>4</v><p>YQ==</p><ce>1:1:4340ebcf79712dc5e3ef7d50bab98ba5:54687</ce></m>", true, true),
        ("<m><v>4</v><p>YQ==</p><ce> 1:0:4340ebcf79712dc5e3ef7d50bab98ba5:54687</ce></m>", true, false),
        ("<m><v>3</v><p>YQ==</p><ce>0:1:4340ebcf79712dc5e3ef7d50bab98ba5</ce></m>", false, true),
        (r#"{"Path":"a","Flags":1}"#, true, false),
        (r#"{"Path":"a","Flags":2}"#, false, true),
        (r#"{"Path":"a","Flags":3}"#, true, true),
    ] {
        let found = found(text).expect("a name");
        assert_eq!((found.is_compressed, found.is_encrypted), (is_compressed, is_encrypted), "{text}");
    }
}

/// Promise: markers of folders are told from files, in the forms in which tools write them.
#[test]
fn folder_markers() {
    for text in [
        format!("<m><v>4</v><p>{}</p></m>", base64("photos/2013/")),
        format!("<m><v>4</v><p>{}</p></m>", base64(r"C:\photos\2013\")),
        r#"{"Path":"photos/2013/","Flags":0}"#.to_owned(),
        r#"{"path": "/photos/2013", "type": "dir"}"#.to_owned(),
        format!("mt2 {}", base64(r#"{"filename":"photos/2013/"}"#)),
    ] {
        let found = found(&text).expect("a name");
        assert!(found.is_folder && found.path == b"photos/2013", "{text}");
    }
}

/// Promise: what would escape, can't be a name, or is damaged names nothing.
#[test]
fn hostile_and_damaged() {
    let long = "n".repeat(256);
    for path in ["", "/", r"C:\", ".", "..", "a/../b", r"..\a", "../../etc/passwd", "a\0b", &long] {
        assert_eq!(found(path), None, "{path}");
        assert_eq!(found(&format!("<m><v>4</v><p>{}</p></m>", base64(path))), None, "{path}");
        let json = serde_json::json!({ "Path": path, "path": path, "filename": path }).to_string();
        assert_eq!(found(&json), None, "{path}");
        assert_eq!(found(&format!("mt2 {}", base64(&json))), None, "{path}");
    }
    for text in [
        "<m><v>4</v></m>",
        "<m><v>4</v><p>YQ==</p>",
        "<m><v>4</v><p>YQ==</p></m>x",
        "<m><v>4</v><p>YQ==</q></m>",
        "<m a=\"b\"><v>4</v><p>YQ==</p></m>",
        "<m><p><p>YQ==</p></p></m>",
        "<m><p>%%</p></m>",
        "<html>",
        "<",
        "mt2 eyJ9",
        "mt1 eyJ9",
        "mt2 %",
        "mt2 eyJmaWxlbmFtZSI6MX0",
        "{}",
        "{",
        "{draft}",
        "[]{",
        r#"{"Path":1}"#,
        r#"{"Path":null,"path":{}}"#,
        "\"",
        "\"\"",
        "\"a",
        "\"\"a\"\"",
        r#""{}""#,
        "glacierfs/2 p=a",
        "\"glacierfs/1 p=a\"",
    ] {
        let expected = (text == "[]{").then_some(&b"[]{"[..]);
        assert_eq!(found(text).map(|found| found.path).as_deref(), expected, "{text}");
    }
}

/// Every form, to be damaged.
const FORMS: &[&str] = &[
    "mt2 eyJmaWxlbmFtZSI6ImZpbGUiLCJtdGltZSI6IjIwMTIxMTE0VDIwMTYxOFoifQ",
    "mt1 eyJmaWxlbmFtZSI6ImZpbGUiLCJtdGltZSI6IjIwMTIxMTE0VDIwMTYxOFoifQ==",
    "<m><v>4</v><p>L3NhbXBsZS8xMjM0LnBkZg==</p><lm>20190121T085242Z</lm><ce>1:1:43:5</ce></m>",
    "<ArchiveMetadata><Path>YQ==</Path></ArchiveMetadata>",
    r#"{"Path":"c01+AF8-s00","UTCDateModified":"20100310T110623Z","Flags":1}"#,
    r#""{\"Path\":\"c01+AF8-s00\",\"UTCDateModified\":\"20100310T110623Z\",\"Flags\":1}""#,
    r#"{"path": "/sample/1234.pdf", "type": "file"}"#,
];

proptest! {
    /// Promise: a description that is damaged anywhere panics nothing, and names nothing outside of its vault.
    #[test]
    fn damage_is_survived(
        form in prop::sample::select(FORMS), cuts in prop::collection::vec((any::<prop::sample::Index>(), "(\\PC|[./\\\\\"<>+:]|\0){0,3}"), 1..5),
    ) {
        let mut text: Vec<char> = form.chars().collect();
        for (at, with) in cuts {
            let at = at.index(text.len() + 1);
            text.splice(at..(at + with.len() % 3).min(text.len()), with.chars());
        }
        let text: String = text.into_iter().collect();
        crate::glacier::fuzzing::description(&text);
    }

    /// Promise: any path in any form comes out as the same safe path, or as none.
    #[test]
    fn forms_agree(path in "([a-zа-я +.]|[/\\\\:\0~-]|[.][.]){0,20}") {
        let mt = found(&format!("mt2 {}", base64(serde_json::json!({ "filename": path }).to_string())));
        let xml = found(&format!("<m><v>4</v><p>{}</p></m>", base64(&path)));
        prop_assert_eq!(mt.map(|found| found.path), xml.map(|found| found.path));
    }
}
