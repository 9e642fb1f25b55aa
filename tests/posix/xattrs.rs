//! Extended attributes: flags, limits, name spaces, and who may see what.

use rustix::fs::XattrFlags;
use rustix::fs::getxattr;
use rustix::fs::listxattr;
use rustix::fs::setxattr;

use super::Pair;
use super::User;

/// Promise: attributes are made, replaced, read, listed and removed as on ext4, with the same errors, by everybody.
#[test]
fn by_everybody() {
    let pair = Pair::new();
    pair.same(
        User::Root,
        "echo > f; mkdir d; ln -s f l; mkfifo p; mknod c c 1 3; chmod 666 f c p; chmod 777 d; mkdir s; chmod 1777 s",
    );
    for user in [User::Root, User::Nobody] {
        for name in [
            "user.a",
            "trusted.a",
            "security.a",
            "system.a",
            "a",
            "user.",
            "other.a",
            "user.\u{fc}",
            "security.selinux",
        ] {
            for file in ["f", "d", "p", "c", "s"] {
                let script = format!(
                    "setfattr -n '{name}' -v one {file}; getfattr -n '{name}' {file}; setfattr -n '{name}' -v 0x00ff00 {file}; \
                     getfattr -e hex -n '{name}' {file}; getfattr -d -m- {file}; setfattr -x '{name}' {file}; \
                     setfattr -x '{name}' {file}; getfattr -n '{name}' {file}"
                );
                pair.same(user, &script);
            }
            pair.same(
                user,
                &format!("setfattr -h -n '{name}' -v one l; getfattr -h -n '{name}' l; setfattr -h -x '{name}' l"),
            );
        }
    }
    // What root has set others see as far as they may.
    pair.same(User::Root, "setfattr -n user.u -v 1 f; setfattr -n trusted.t -v 2 f; setfattr -n security.s -v 3 f");
    pair.same(User::Nobody, "getfattr -d -m- f; getfattr -n trusted.t f; chmod 600 f; getfattr -n user.u f");
    pair.same(User::Root, "chmod 600 f; getfattr -d -m- f");
    pair.same(User::Nobody, "getfattr -d -m- f; setfattr -n user.v -v 1 f; getfattr -n user.u f");
    pair.remount();
    pair.same(User::Root, "getfattr -d -m- f");
}

/// Promise: XATTR_CREATE and XATTR_REPLACE, buffers that are too small, and names that are too long are answered as on ext4;
/// values hold 64 KiB, and names as many as can be listed.
#[test]
fn flags_and_limits() {
    let pair = Pair::new();
    pair.same(User::Root, "echo > f");
    let _ = pair.alike("flags", |directory| {
        let file = directory.join("f");
        let set =
            |name: &str, value: &[u8], flags| setxattr(&file, name, value, flags).map_err(|error| error.raw_os_error());
        let outcomes = [
            set("user.a", b"1", XattrFlags::REPLACE),
            set("user.a", b"1", XattrFlags::CREATE),
            set("user.a", b"2", XattrFlags::CREATE),
            set("user.a", b"22", XattrFlags::REPLACE),
            set("user.a", b"", XattrFlags::empty()),
            set("user.a", b"333", XattrFlags::CREATE | XattrFlags::REPLACE),
            set(&format!("user.{}", "n".repeat(250)), b"1", XattrFlags::empty()),
            set(&format!("user.{}", "n".repeat(251)), b"1", XattrFlags::empty()),
            set("user.big", &[0; 65537], XattrFlags::empty()),
        ];
        set("user.a", b"twelve bytes", XattrFlags::empty()).expect("set");
        let mut small = [0; 5];
        let got = getxattr(&file, "user.a", &mut small[..]).map_err(|error| error.raw_os_error());
        let listed = listxattr(&file, &mut small[..]).map_err(|error| error.raw_os_error());
        let size = listxattr(&file, &mut [0u8; 0][..]).map_err(|error| error.raw_os_error());
        (outcomes, got, listed, size)
    });
    let file = pair.vault().join("f");
    let value = vec![7; 65536];
    setxattr(&file, "user.big", &value, XattrFlags::empty()).expect("64 KiB");
    let mut read = vec![0; 65536];
    assert_eq!(getxattr(&file, "user.big", &mut read[..]), Ok(65536));
    assert_eq!(read, value);
    let mut count = 0;
    let full = loop {
        match setxattr(&file, format!("user.{count:0250}"), b"", XattrFlags::empty()) {
            Ok(()) => count += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(full, rustix::io::Errno::NOSPC);
    assert!(count > 250, "{count}");
    let mut list = vec![0; 65536];
    let length = listxattr(&file, &mut list[..]).expect("a list");
    assert!(length > 65000, "{length}");
}

/// Promise: capabilities stay with a program, over a new start too, and go when somebody writes to it.
#[test]
fn capabilities() {
    let pair = Pair::new();
    pair.same(User::Root, "cp /bin/true t; setcap cap_net_raw+ep t; getcap t; chmod 777 t");
    pair.remount();
    pair.same(User::Root, "getcap t; cp -a t u; getcap u; chown 2 u; getcap u");
    pair.same(User::Nobody, "setcap cap_net_raw+ep t 2> /dev/null || echo refused; getcap t; echo >> t; getcap t");
}
