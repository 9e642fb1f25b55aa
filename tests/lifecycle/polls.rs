//! Readers that don't want to wait, and those that only look as if they didn't.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;

use rustix::event::PollFd;
use rustix::event::PollFlags;
use rustix::event::Timespec;
use rustix::event::epoll;
use rustix::fs::OFlags;

use super::support::PATIENCE;
use super::support::Place;

const TEXT: &str = "from the vault";

/// A mount with cold files `v/a` and `v/b`, whose retrieval takes a second.
fn cold() -> Place {
    let place = Place::new();
    assert_eq!(place.mount(&["--retrieval-delay", "all=1s"]).code, 0, "{}", place.log());
    std::fs::create_dir(place.path("mnt/v")).expect("a vault");
    for name in ["a", "b"] {
        std::fs::write(place.path("mnt/v").join(name), TEXT).expect("a file");
    }
    place.ok(&["flush", &place.text("mnt")]);
    place.ok(&["evict", &place.text("mnt/v")]);
    place
}

fn hasty(place: &Place, name: &str) -> File {
    File::options().read(true).custom_flags(OFlags::NONBLOCK.bits() as i32).open(place.path(name)).expect("open")
}

fn patience() -> Timespec {
    Timespec { tv_sec: PATIENCE.as_secs() as i64, tv_nsec: 0 }
}

fn asked_too_early(file: &mut File) {
    let error = file.read(&mut [0; 100]).expect_err("nothing is local");
    assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
}

/// Promise: a file that was opened without O_NONBLOCK waits, also when it got that flag later. Go's runtime gives it to every
/// file that epoll takes, and then sleeps until an event comes that says that there is something to read.
#[test]
fn programs_in_go_can_read_cold_files() {
    let place = cold();
    let mut file = File::open(place.path("mnt/v/a")).expect("open");
    let set = epoll::create(epoll::CreateFlags::CLOEXEC).expect("an epoll");
    let all = epoll::EventFlags::IN | epoll::EventFlags::OUT | epoll::EventFlags::ET;
    epoll::add(&set, &file, epoll::EventData::new_u64(1), all).expect("a file of a mount can be polled");
    rustix::fs::fcntl_setfl(&file, OFlags::NONBLOCK).expect("flags");
    let mut text = String::new();
    file.read_to_string(&mut text).expect("a read that waits");
    assert_eq!(text, TEXT);
}

/// Promise: who opened a file with O_NONBLOCK, and got EAGAIN, is told by epoll(7) and poll(2) when the bytes are there.
#[test]
fn who_polls_is_woken() {
    let place = cold();
    let mut file = hasty(&place, "mnt/v/a");
    let set = epoll::create(epoll::CreateFlags::CLOEXEC).expect("an epoll");
    let all = epoll::EventFlags::IN | epoll::EventFlags::ET;
    epoll::add(&set, &file, epoll::EventData::new_u64(1), all).expect("a file of a mount can be polled");
    let mut events = [epoll::Event { flags: all, data: epoll::EventData::new_u64(0) }; 4];
    assert_eq!(epoll::wait(&set, &mut events, Some(&patience())).expect("an event"), 1, "nobody knows that it is cold");
    asked_too_early(&mut file);
    assert_eq!(epoll::wait(&set, &mut events, Some(&patience())).expect("an event"), 1, "not woken");
    let mut text = String::new();
    file.read_to_string(&mut text).expect("all is there");
    assert_eq!(text, TEXT);

    let mut file = hasty(&place, "mnt/v/b");
    asked_too_early(&mut file);
    let zero = Timespec { tv_sec: 0, tv_nsec: 0 };
    let ready = |limit: &Timespec| rustix::event::poll(&mut [PollFd::new(&file, PollFlags::IN)], Some(limit));
    assert_eq!(ready(&zero).expect("poll"), 0, "it isn't ready");
    assert_eq!(ready(&patience()).expect("poll"), 1, "not woken");
    text.clear();
    file.read_to_string(&mut text).expect("all is there");
    assert_eq!(text, TEXT);
}
