//! A clock that is wrong.

use std::time::Duration;

use super::support::Place;
use super::support::Serve;
use super::support::finished;
use super::support::shifted;
use super::support::within;

/// Promise: a clock ten minutes off is named, with how much and in which direction, when there is nothing yet that could
/// be served without the service, and the exit code says that the service refused. A mount that has a catalog comes up:
/// writes go on, the status says why uploads wait, and once the clock is right everything arrives without a restart.
#[test]
fn a_clock_that_is_off_by_ten_minutes() {
    let place = Place::new();
    let serve = Serve::start(&place, "127.0.0.1:0");
    let shift = place.path("shift");
    for (offset, direction) in [("+600", "ahead"), ("-600", "behind")] {
        std::fs::write(&shift, format!("{offset}\n")).expect("a shift");
        let mut command = place.endpoint_mount(&serve.url, &[]);
        shifted(&mut command, &shift);
        let first = finished(&mut command);
        println!("{offset}: {}", first.stderr);
        assert_eq!(first.code, 7, "{offset}: {}{}", first.stderr, place.log());
        // The service tells its time in whole seconds, which may turn meanwhile.
        let off = first.stderr.split("this machine's clock is ").nth(1).unwrap_or_default();
        let off = off.split_once(direction).map_or("", |(off, _)| off.trim());
        assert!(["10m", "10m 1s", "10m 2s", "9m 58s", "9m 59s"].contains(&off), "{off:?}: {}", first.stderr);
        assert!(!place.is_mounted());
    }

    place.mount_endpoint(&serve.url, &[]);
    let mnt = place.text("mnt");
    place.ok(&["vault", "create", "v", "--mount", &mnt]);
    std::fs::write(place.path("mnt/v/before"), "before").expect("a written file");
    place.ok(&["flush", "--timeout", "20s", &mnt]);
    place.ok(&["umount", &mnt]);

    for (offset, direction) in [("+600", "ahead"), ("-600", "behind")] {
        std::fs::write(&shift, format!("{offset}\n")).expect("a shift");
        let mut command = place.endpoint_mount(&serve.url, &["--upload-delay", "0"]);
        shifted(&mut command, &shift);
        let mounted = finished(&mut command);
        assert_eq!(mounted.code, 0, "{}{}", mounted.stderr, place.log());
        for n in 0..20 {
            std::fs::write(place.path("mnt/v").join(format!("{direction}{n}")), vec![n; 10_000]).expect("writes go on");
        }
        assert_eq!(std::fs::read(place.path("mnt/v/before")).expect("a read file"), b"before");
        within(Duration::from_secs(30), "a pause", || {
            let text = place.ok(&["status", &mnt]);
            text.contains("clock") && text.contains(direction)
        });
        println!("{}", place.ok(&["status", &mnt]));
        assert_eq!(place.status()["queue"]["files"], 20);

        std::fs::write(&shift, "+0\n").expect("a shift");
        // Nobody asks for it: a pause, and what waits for its turn, mustn't last as long as the clock was wrong.
        within(Duration::from_secs(90), "the uploads", || place.status()["totals"]["archived_files"] == 20);
        assert!(!place.ok(&["status", &mnt]).contains("clock"), "the pause is over");
        place.ok(&["umount", &mnt]);
    }
}
