//! Deleting, and undoing it. Whole trees are in tests/lifecycle/trash.rs.

use std::fs;
use std::os::unix::fs::MetadataExt;

use super::bytes;
use super::chill;
use super::flush;
use super::mounted;
use super::sh;
use super::support::Done;
use super::support::Place;
use super::support::Serve;
use super::support::finished;

const LONG: &[&str] = &["--upload-delay", "1h", "--drain-timeout", "0"];

fn listed(place: &Place) -> serde_json::Value {
    let text = place.ok(&["trash", "list", "--json", "--mount", &place.text("mnt")]);
    serde_json::from_str(&text).expect("JSON")
}

fn run(place: &Place, arguments: &[&str]) -> Done {
    let mnt = place.text("mnt");
    place.run(&[&["trash"], arguments, &["--mount", &mnt]].concat())
}

#[test]
fn deleted_things() {
    let place = mounted();
    fs::write(place.path("mnt/v/f"), bytes(2_000_000)).expect("a file");
    sh(&place, "v", "mkdir d; mv f d/f; chmod 640 d/f; chown 12:34 d/f; touch -d @1234567890.123456789 d/f");
    sh(&place, "v", "setfattr -n user.a -v b d/f; setfacl -m u:55:rw d/f; echo other > g");
    flush(&place);
    let tell = || sh(&place, "v", "stat -c '%i %a %u %g %s %.9Y' d/f; getfattr -d d/f; getfacl -cn d/f");
    let before = tell();
    // A cold one, deleted; and one renamed over.
    chill(&place);
    sh(&place, "v", "rm d/f; ls d; echo new > n; mv n g");
    place.ok(&["trash", "restore", &place.text("mnt/v/d/f")]);
    assert_eq!(tell(), before);
    assert!(fs::read(place.path("mnt/v/d/f")).expect("recalled") == bytes(2_000_000));
    let taken = run(&place, &["restore", "v/g"]);
    assert_eq!((taken.code, sh(&place, "v", "cat g").as_str()), (8, "new\n"), "{}", taken.stderr);
    assert_eq!(run(&place, &["restore", "--beside", "v/g"]).code, 0);
    assert_eq!(sh(&place, "v", "cat g g~1"), "new\nother\n");
}

#[test]
fn deleted_trees() {
    let place = Place::new();
    place.shift(0);
    place.mount_shifted(LONG);
    fs::create_dir(place.path("mnt/v")).expect("a vault");
    sh(&place, "v", "mkdir -p a/b; echo one > a/one; ln a/one a/b/two; ln -s one a/soft; chmod 700 a/b; : > a/b/empty");
    sh(&place, "v", "touch -d @1000000000.5 a/b; touch -d @1000000001.5 a");
    flush(&place);
    place.shift(120);
    let tell = || sh(&place, "v", "find . -mindepth 1 -printf '%p %y %m %s %n %T@ %l\\n' | sort; cat a/b/two");
    let before = tell();
    sh(&place, "v", "rm -rf a");
    place.ok(&["trash", "restore", "--all", "--mount", &place.text("mnt")]);
    assert_eq!(tell(), before);
    let number = |path: &str| fs::metadata(place.path("mnt/v").join(path)).expect("a file").ino();
    assert_eq!(number("a/one"), number("a/b/two"));
}

#[test]
fn what_is_not_kept() {
    let place = mounted();
    sh(&place, "v", "echo unarchived > f; mkdir d; ln -s f l; : > e; rm -r f d l e");
    assert_eq!(listed(&place).as_array().expect("a list").len(), 0);
}

#[test]
fn when_it_goes() {
    let place = Place::new();
    place.shift(0);
    place.mount_shifted(LONG);
    fs::create_dir(place.path("mnt/v")).expect("a vault");
    let mnt = place.text("mnt");
    sh(&place, "v", "echo early > early; echo late > late");
    flush(&place);
    sh(&place, "v", "rm early late");
    let unsure = run(&place, &["purge", "v/early"]);
    assert_eq!(unsure.code, 2, "{}", unsure.stderr);
    assert!(unsure.stderr.contains("still billed, for up to 90 days"), "{}", unsure.stderr);
    assert_eq!(run(&place, &["purge", "--due", "--yes"]).stdout, "Nothing of it is in the trash.\n");
    let purged = run(&place, &["purge", "--yes", "v/early"]);
    assert!(purged.stdout.starts_with("Deleted 1 entry for good, 6 B"), "{}{}", purged.stdout, purged.stderr);
    let left = listed(&place);
    let left = left.as_array().expect("a list");
    assert_eq!((left.len(), &left[0]["path"], &left[0]["billed_days"]), (1, &"v/late".into(), &90.into()));

    place.shift(89 * 86400);
    assert_eq!(run(&place, &["purge", "--due", "--yes"]).stdout, "Nothing of it is in the trash.\n");
    place.shift(90 * 86400 + 60);
    assert_eq!(listed(&place)[0]["billed_days"], 0);
    let purged = run(&place, &["purge", "--due", "--yes"]);
    assert!(purged.stdout.starts_with("Deleted 1 entry"), "{}{}", purged.stdout, purged.stderr);
    let told = place.ok(&["inventory", "v", "--timeout", "20s", "--mount", &mnt]);
    assert!(told.contains("0 archives in the inventory"), "{told}");
}

#[test]
fn locked_vaults() {
    let place = Place::new();
    let serve = Serve::start(&place, "127.0.0.1:0");
    place.mount_endpoint(&serve.url, LONG);
    let mnt = place.text("mnt");
    fs::create_dir(place.path("mnt/v")).expect("a vault");
    sh(&place, "v", "echo kept > f");
    flush(&place);
    let arn = format!("arn:aws:glacier:us-east-1:{}:vaults/v", account(&place));
    let policy = serde_json::json!({"Version": "2012-10-17", "Statement": [{
        "Sid": "keep", "Effect": "Deny", "Principal": "*", "Action": "glacier:DeleteArchive", "Resource": arn,
        "Condition": {"NumericLessThan": {"glacier:ArchiveAgeInDays": "365"}}
    }]});
    fs::write(place.path("policy.json"), policy.to_string()).expect("a policy");
    let mut command = place.command(&[
        "vault",
        "lock",
        "v",
        "initiate",
        &place.text("policy.json"),
        "--endpoint",
        &serve.url,
        "--region",
        "us-east-1",
    ]);
    command.env("AWS_SHARED_CREDENTIALS_FILE", place.path("served/credentials")).env("AWS_PROFILE", "glacierfs");
    let locked = finished(&mut command);
    assert_eq!(locked.code, 0, "{}{}", locked.stdout, locked.stderr);

    sh(&place, "v", "rm f");
    let shown = listed(&place);
    let time = |value: &serde_json::Value| value.as_str().expect("a time").parse::<jiff::Timestamp>().expect("a time");
    let until = time(&shown[0]["locked_until"]);
    let days = (until.as_second() - jiff::Timestamp::now().as_second()) as f64 / 86400.0;
    assert!((364.9..=365.0).contains(&days), "{days}");
    let refused = run(&place, &["purge", "--all", "--yes"]);
    assert_eq!(refused.code, 8, "{}{}", refused.stdout, refused.stderr);
    let shown = listed(&place);
    assert_eq!(time(&shown[0]["due"]), until);
    assert!(shown[0]["error"].as_str().expect("why").contains("f") && shown[0]["going"] == false, "{shown}");
    let page = place.ok(&["trash", "list", "--mount", &mnt]);
    assert!(page.contains("locked until") && page.contains("not deleted: "), "{page}");
    assert!(place.ok(&["status", &mnt]).contains("1 entry couldn't be deleted"), "{page}");
    place.ok(&["trash", "restore", &place.text("mnt/v/f")]);
    assert_eq!(sh(&place, "v", "cat f"), "kept\n");
    assert_eq!(place.status()["undeletable"], 0);
}

/// The account of the endpoint, by the ARN of a vault.
fn account(place: &Place) -> String {
    let told: serde_json::Value =
        serde_json::from_str(&place.ok(&["vault", "list", "--json", "--mount", &place.text("mnt")])).expect("JSON");
    let arn = told[0]["arn"].as_str().expect("an ARN").to_owned();
    arn.split(':').nth(4).expect("an account").to_owned()
}
