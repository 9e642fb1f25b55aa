//! The daemon is killed, again and again, in the middle of everything.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use rand::RngExt;
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::crowd::Crowd;
use super::crowd::Looked;
use super::crowd::WORKERS;
use super::number;
use super::support::Place;
use super::support::until;

fn start(place: &Place) {
    let done = place.mount(&["--upload-delay", "100ms", "--retrieval-delay", "all=20ms"]);
    assert_eq!(done.code, 0, "{}{}", done.stderr, place.log());
}

/// Promise: whatever a program was told is done survives a kill of the daemon at any moment, under a mixed load of writes, appends,
/// rewrites, truncations, replacements, storms of renames, removals, rsync, archiving, evictions and recalls; and in the end
/// every file comes back from its vault through an empty cache.
#[test]
fn whatever_was_acknowledged_is_there() {
    let seed = number("GLACIERFS_POWER_SEED", rand::random());
    let kills = number("GLACIERFS_POWER_KILLS", 6);
    println!("GLACIERFS_POWER_SEED={seed}, {kills} kills");
    let mut random = StdRng::seed_from_u64(seed);
    let place = Arc::new(Place::new());
    start(&place);
    fs::create_dir(place.path("mnt/v")).expect("a vault");
    let mut crowd = Crowd::new(&place, seed);
    let (mut interrupted, mut looked) = (0, Looked::default());
    for kill in 0..kills {
        let pause = Duration::from_millis(random.random_range(1..600));
        let kill_it = || {
            std::thread::sleep(pause);
            place.kill();
        };
        interrupted += crowd.work_until_dead(kill_it).1;
        start(&place);
        looked += crowd.look();
        println!("kill {kill} after {pause:?}: all there");
    }
    assert_eq!(interrupted, WORKERS * kills, "each kill met everybody at work");
    place.ok(&["flush", "--timeout", "2min", &place.text("mnt")]);
    place.ok(&["evict", &place.text("mnt/v")]);
    until("an empty cache", || place.status()["cache"]["bytes"] == 0);
    let back = crowd.look();
    println!(
        "{kills} kills, {} changes acknowledged, {looked:?}; {back:?} read back from the vault at the end: all there",
        crowd.acknowledged()
    );
    place.ok(&["umount", "--timeout", "30s", &place.text("mnt")]);
}
