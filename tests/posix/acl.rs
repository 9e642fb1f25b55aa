//! POSIX access control lists (acl(5)), set and shown by setfacl(1) and getfacl(1).

use super::Pair;
use super::User;

/// What is shown of `f`: list, mode, and which attributes are listed.
const SHOW: &str = "getfacl -cp f; stat -c '%a %u %g' f; getfattr -m- f 2>/dev/null";

/// Promise: a list and the mode are two views of one thing, whichever is changed, and a list that says no more than a
/// mode isn't kept.
#[test]
fn lists_and_modes() {
    let pair = Pair::new();
    for (mode, change) in [
        ("640", "setfacl -m u:2:rw f"),
        ("640", "setfacl -m g:12:r f; chmod 600 f"),
        ("640", "setfacl -m u:2:rwx,g:12:rw f; chmod 751 f"),
        ("640", "setfacl -m u:2:rw f; chmod g-w f; setfacl -m u:3:rwx f"),
        ("640", "setfacl -m u:2:rw,m::- f; chmod 777 f"),
        ("640", "setfacl -m u::rwx,g::rx,o::x f"),
        ("640", "setfacl -m u:2:rw f; setfacl -x u:2 f"),
        ("640", "setfacl -m u:2:rw f; setfacl -b f"),
        ("640", "setfacl -m u:2:rw f; setfacl -x u:2,m f"),
        ("640", "setfacl -m u:2:rw f; setfattr -x system.posix_acl_access f"),
        ("640", "setfattr -x system.posix_acl_access f"),
        ("640", "setfacl -m d:u:2:rw f"),
        ("640", "setfacl -k f"),
        ("6755", "setfacl -m u:2:rw f"),
        ("6755", "setfacl -m u:2:rw f; chown 7:8 f"),
        ("640", "setfacl -m u:2:rw f; ln f g; setfacl -m u:3:r g; rm g"),
        ("640", "setfacl -m u:2:rw f; cp -p f g; mv g f"),
        ("640", "setfattr -n system.posix_acl_access -v 0x0200000001000600ffffffff f"),
        ("640", "setfattr -n system.posix_acl_access -v 0x02000000 f"),
        ("640", "setfattr -n system.posix_acl_access -v 0x03000000 f"),
        ("640", "setfattr -n system.posix_acl_access -v 0x0200 f"),
        ("640", "setfattr -n system.nfs4_acl -v 0x02 f"),
    ] {
        pair.same(User::Root, &format!("rm -f f; echo hello > f; chmod {mode} f; {change}; {SHOW}"));
    }
    pair.same(
        User::Root,
        "mkdir d; setfacl -m u:2:rx,d:g:12:rwx d; getfacl -cp d; setfacl -k d; getfacl -cp d; rm -r d",
    );
}

/// Promise: who is named in a list may do what it says, within the mask, and nobody else more than the mode says.
#[test]
fn access_follows_the_list() {
    let pair = Pair::new();
    for list in [
        "u:2:rw",
        "u:2:r",
        "u:2:-",
        "g:2:rw",
        "g:12:rw",
        "g:12:r,m::rw",
        "u:2:rw,m::r",
        "g:12:-",
        "u:65534:rw",
        "u:2:rw,o::-",
        "g:2:r,g:12:w",
        "u:2:rwx",
    ] {
        let made = "rm -rf f d; echo 'echo ran' > f; chmod 640 f; mkdir d; chmod 750 d; setfacl -m LIST f d";
        pair.same(User::Root, &made.replace("LIST", list));
        for user in [User::Bin, User::Nobody] {
            let tried = "cat f; echo >> f && echo wrote; ./f; ls d && echo listed; touch d/x && echo made; chmod 777 f; \
                         setfacl -m o::rwx f; test -r f && echo r; test -w f && echo w; test -x f && echo x";
            pair.same(user, tried);
        }
    }
    // Of group 12 User::Bin is by his supplementary groups.
    for mode in ["640", "060", "606", "664"] {
        pair.same(User::Root, &format!("rm -f f; echo hello > f; chgrp 12 f; chmod {mode} f"));
        for user in [User::Bin, User::Nobody] {
            pair.same(user, "cat f; echo >> f && echo wrote");
        }
    }
}

/// Promise: what is made in a directory with a default list begins with that, whatever the umask; directories hand it on.
#[test]
fn defaults_are_inherited() {
    let pair = Pair::new();
    for list in
        ["d:u::rwx,d:g::rx,d:o::-", "d:u:2:rw", "d:g:12:rwx,d:m::rx", "d:u::rw,d:u:3:rwx,d:g::-,d:o::r", "d:o::rwx"]
    {
        for umask in ["022", "077", "000"] {
            let script = format!(
                "rm -rf d; mkdir d; chmod 2775 d; chgrp 12 d; setfacl -m {list} d; umask {umask}; cd d; echo > plain; \
                 mkdir sub; mkdir -m 700 narrow; mkfifo pipe; ln -s plain link; mknod device c 1 3; touch sub/deep; \
                 mkdir sub/deeper; install -m 4711 /dev/null installed; cp -p plain copied; \
                 for f in . *  sub/*; do getfacl -cp $f; stat -c '%A %u %g %n' $f; done"
            );
            pair.same(User::Root, &script);
        }
    }
    pair.same(User::Root, "rm -rf d; mkdir d; chmod 777 d; setfacl -m d:u:12:rw d");
    pair.same(User::Nobody, "umask 027; cd d; echo > f; mkdir e; getfacl -cp f e; stat -c '%a %U' f e");
    pair.same(User::Nobody, "umask 027; echo > plain; mkdir e; mkfifo p; stat -c '%a %U' plain e p; rm -r plain e p");
}

/// Promise: setting a list takes set-group-ID from a file whose group the caller isn't in, and from no other.
#[test]
fn lists_and_set_group_id() {
    let pair = Pair::new();
    for (user, group) in [(User::Bin, 2), (User::Bin, 12), (User::Bin, 13), (User::Root, 13)] {
        let owner = if user == User::Bin { 2 } else { 0 };
        pair.same(User::Root, &format!("rm -f f; echo > f; chown {owner}:{group} f; chmod 6755 f"));
        pair.same(user, "setfacl -m u:3:rwx f; getfacl -cp f; stat -c '%a %u %g' f");
    }
}

/// Promise: lists survive a new start of the daemon, and a file's way into its vault and back.
#[test]
fn lists_stay() {
    let pair = Pair::new();
    let show = "getfacl -cp d d/f d/e; stat -c %a d d/f d/e";
    pair.same(User::Root, "mkdir d; setfacl -m u:2:rx,d:u:3:rw d; echo hello > d/f; mkdir d/e");
    let before = pair.same(User::Root, show);
    pair.place.ok(&["flush", &pair.place.text("mnt")]);
    pair.place.ok(&["evict", &pair.place.text("mnt/v")]);
    assert_eq!(pair.same(User::Root, show), before);
    pair.remount();
    assert_eq!(pair.same(User::Root, show), before);
    pair.same(User::Root, "echo > d/new; getfacl -cp d/new; chmod 700 d/f; getfacl -cp d/f");
}

/// Promise: where modes are shown that aren't recorded, access goes by them and not by lists, which stay as they are.
#[test]
fn lists_and_masks() {
    let pair = Pair::new();
    super::shell(
        User::Root,
        "echo hello > f; chmod 600 f; setfacl -m u:2:r f; echo all > g; chmod 644 g; setfacl -m u:2:- g",
        &pair.vault(),
    );
    let tried = |what: &str| super::shell(User::Bin, what, &pair.vault());
    assert_eq!(tried("cat f; cat g"), "hello\ncat: g: Permission denied\n");
    pair.place.ok(&["umount", "--drain", "0", &pair.place.text("mnt")]);
    let done = pair.place.mount(&["-o", "allow_other,umask=022,fmask=133"]);
    assert_eq!(done.code, 0, "{}", done.stderr);
    assert_eq!(tried("cat f g"), "hello\nall\n");
    pair.place.ok(&["umount", "--drain", "0", &pair.place.text("mnt")]);
    let done = pair.place.mount(&["-o", "allow_other,umask=077"]);
    assert_eq!(done.code, 0, "{}", done.stderr);
    assert_eq!(super::shell(User::Root, "getfacl -ncp f g | grep user:2", &pair.vault()), "user:2:r--\nuser:2:---\n");
    pair.place.ok(&["umount", "--drain", "0", &pair.place.text("mnt")]);
    let done = pair.place.mount(&["-o", "allow_other,fmask=177"]);
    assert_eq!(done.code, 0, "{}", done.stderr);
    assert_eq!(tried("cat f g"), "cat: f: Permission denied\ncat: g: Permission denied\n");
}

/// Promise: vaults have lists as other directories, but none is inherited at the root, where the service makes them.
#[test]
fn vaults() {
    let pair = Pair::new();
    let mnt = pair.place.mnt();
    let said = super::shell(
        User::Root,
        "umask 027; mkdir w; stat -c %a w; setfacl -m u:2:rwx w; getfacl -ncp w; setfacl -m d:u:2:rwx .",
        &mnt,
    );
    assert!(said.starts_with("750\nuser::rwx\nuser:2:rwx\ngroup::r-x\nmask::rwx\nother::---\n\n"), "{said}");
    assert!(said.contains("setfacl: .: Operation not permitted"), "{said}");
    assert_eq!(super::shell(User::Bin, "touch w/f && stat -c %u w/f", &mnt), "2\n");
}
