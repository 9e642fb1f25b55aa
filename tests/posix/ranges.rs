//! fallocate(2), copy_file_range(2), truncation.

use std::fs::File;
use std::os::unix::fs::FileExt;

use rustix::fs::copy_file_range;
use rustix::io::Errno;

use super::Pair;
use super::User;

/// What is seen of `f` besides its blocks, which are those of its size whatever is allocated; times are compared with those
/// before.
const SHOW: &str = "md5sum < f; stat -c '%s %a' f; [ $(stat -c %Y f) = 1000000000 ] && echo mtime kept; \
                    [ \"$(stat -c %z f)\" = \"$ctime\" ] && echo ctime kept";

/// Promise: space is allocated, zeroed and punched as on ext4, with the size, times, set-ID bits and errors that it has.
#[test]
fn ranges_of_a_file() {
    let pair = Pair::new();
    for operation in [
        "fallocate -l 100000 f",
        "fallocate -o 5000 -l 200000 f",
        "fallocate -n -o 5000 -l 200000 f",
        "fallocate -l 10 f",
        "fallocate -p -o 4096 -l 8192 f",
        "fallocate -p -o 100 -l 100 f",
        "fallocate -p -o 60000 -l 100000 f",
        "fallocate -p -o 200000 -l 100000 f",
        "fallocate -z -o 100 -l 10000 f",
        "fallocate -z -o 60000 -l 100000 f",
        "fallocate -z -n -o 60000 -l 100000 f",
        "fallocate -z -n -o 100000 -l 100000 f",
        "fallocate -o 1 -l 9223372036854775807 f",
        "exec 3<f; fallocate -l 1000000 /dev/fd/3; fallocate -l 10 .; mkfifo p; exec 4<>p; fallocate -l 10 p; rm p",
        "truncate -s 100000 f",
        "truncate -s 10 f",
        "truncate -s 64000 f",
        "truncate -s 0 f",
        ": > f",
        ">> f",
        "printf x | dd of=f bs=1 seek=300000 conv=notrunc status=none",
    ] {
        for (user, mode) in [(User::Root, "644"), (User::Bin, "6777"), (User::Root, "6777")] {
            let before = "rm -f f; yes | head -c 64000 > f; chown 2:2 f; chmod MODE f; touch -d @1000000000 f";
            pair.same(User::Root, &before.replace("MODE", mode));
            pair.same(user, &format!("ctime=$(stat -c %z f); sleep 0.02; {operation}; {SHOW}"));
        }
    }
    pair.same(
        User::Root,
        "rm -f e; touch e; fallocate -p -o 0 -l 100 e; fallocate -z -n -l 100 e; fallocate -n -l 100 e; stat -c %s e",
    );
    pair.same(User::Root, "(ulimit -f 100; fallocate -l 1000000 e); stat -c %s e");
    let said = super::shell(User::Root, "fallocate -l 9223372036854775807 f", &pair.vault());
    assert!(said.contains("No space left on device"), "{said}");
    // ext4 can, a file system that others mount can't.
    for operation in ["-c -o 4096 -l 4096", "-i -o 4096 -l 4096"] {
        let said = super::shell(User::Root, &format!("fallocate {operation} f"), &pair.vault());
        assert!(said.contains("Operation not supported"), "{said}");
    }
}

/// Promise: a file that isn't local is brought back before a part of it is zeroed; the size that it gets is right at once, and
/// what it becomes is archived.
#[test]
fn ranges_of_a_cold_file() {
    let pair = Pair::new();
    let (mnt, vault) = (pair.place.text("mnt"), pair.place.text("mnt/v"));
    for operation in ["-z -o 100 -l 10000", "-p -o 4096 -l 8192", "-o 60000 -l 100000", "-n -o 0 -l 200000"] {
        pair.same(User::Root, "rm -f f; yes | head -c 64000 > f; cp f g");
        pair.place.ok(&["flush", &mnt]);
        pair.place.ok(&["evict", &vault]);
        let show = "md5sum < f; stat -c %s f";
        pair.same(User::Root, &format!("fallocate {operation} f; {show}"));
        pair.place.ok(&["flush", &mnt]);
        pair.place.ok(&["evict", &vault]);
        pair.same(User::Root, show);
    }
}

/// Promise: copy_file_range(2) copies what it says, warm or cold, across files and within one, and refuses what ext4 refuses.
#[test]
fn copies() {
    let pair = Pair::new();
    pair.same(
        User::Root,
        "yes | head -c 300000 > from; yes no | head -c 50000 > to; chmod 6777 to; mkdir d; echo > d/empty",
    );
    let copy = |from: &str, at: u64, to: &str, off: u64, length: usize| {
        let _ = pair.alike(&format!("{length} bytes from {at} of {from} to {off} of {to}"), |directory| {
            let source = File::open(directory.join(from)).expect("a source");
            let target = File::options().read(true).write(true).open(directory.join(to)).expect("a target");
            let (mut at, mut off) = (at, off);
            let outcome = copy_file_range(&source, Some(&mut at), &target, Some(&mut off), length);
            let mut bytes = vec![0; 1 << 20];
            let size = target.metadata().expect("attributes").len();
            let read = target.read_at(&mut bytes, 0).expect("bytes");
            bytes.truncate(read);
            (outcome.map_err(Errno::raw_os_error), at, off, size, bytes)
        });
    };
    let all = |cold: bool| {
        if cold {
            pair.place.ok(&["flush", &pair.place.text("mnt")]);
            pair.place.ok(&["evict", &pair.place.text("mnt/v")]);
        }
        copy("from", 0, "to", 0, 10);
        copy("from", 299_990, "to", 1_000, 100);
        copy("from", 300_000, "to", 0, 100);
        copy("from", 4_096, "d/empty", 8_192, 200_000);
        copy("d/empty", 0, "to", 100, 4_000);
        copy("to", 0, "to", 100_000, 5_000);
        copy("to", 0, "to", 10, 5_000);
        copy("from", 0, "to", i64::MAX as u64 - 5, 10);
    };
    all(false);
    all(true);
    pair.same(User::Root, "stat -c '%a %s' to from d/empty; md5sum to from d/empty");
    pair.place.ok(&["flush", &pair.place.text("mnt")]);
    pair.place.ok(&["evict", &pair.place.text("mnt/v")]);
    let other = "/usr/bin/python3 -c 'import os; print(os.copy_file_range(os.open(\"from\", os.O_RDONLY), os.open(\"to\", os.O_WRONLY), 9))'";
    pair.same(User::Root, "touch -d @5 to; chmod 6777 to");
    pair.same(User::Nobody, &format!("{other}; stat -c '%a %s' to; [ $(stat -c %Y to) = 5 ] || echo modified"));
    // Of what cp(1) copies nothing is lost, between files that aren't local either.
    pair.same(User::Root, "cp from copy; cp --sparse=never from copy2; cmp from copy; cmp from copy2; md5sum copy");
}

/// Promise: copies of many MiB are whole, though one call copies only some of them; holes stay holes.
#[test]
fn large_copies() {
    let pair = Pair::new();
    let script = "truncate -s 100M f; echo middle | dd of=f bs=1 seek=70000001 conv=notrunc status=none; echo end >> f; \
                  cp --sparse=never f g; cmp f g; cp --sparse=always f h; cmp f h; stat -c %s f g h; md5sum g";
    pair.same(User::Root, script);
    pair.place.ok(&["flush", &pair.place.text("mnt")]);
    pair.place.ok(&["evict", &pair.place.text("mnt/v")]);
    pair.same(User::Root, "cp f i; md5sum i; rm f g h i");
}

/// Promise: a copy between vaults works, and a move is one.
#[test]
fn copies_between_vaults() {
    let pair = Pair::new();
    let mnt = pair.place.mnt();
    let said = super::shell(
        User::Root,
        "mkdir w; yes | head -c 100000 > v/f; cp v/f w/f && cmp v/f w/f && mv v/f w/g && cmp w/f w/g && ls v",
        &mnt,
    );
    assert_eq!(said, "");
}
