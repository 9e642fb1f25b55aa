//! A file that is replaced all the time.

use std::fs;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use nix::errno::Errno;

use super::support::Place;

const SIZE: usize = 5000;
const TIME: Duration = Duration::from_secs(3);

/// Promise: who opens a file, or looks at it, while it is replaced by rename(2) over and over finds one version of it, whole. It is
/// always there: at the worst, when it was replaced twice within the moment between finding it and opening it, ESTALE says so.
#[test]
fn is_always_there_and_whole() {
    let place = Place::new();
    assert_eq!(place.mount(&["--upload-delay", "0"]).code, 0, "{}", place.log());
    fs::create_dir(place.path("mnt/v")).expect("a vault");
    let (file, stop) = (place.path("mnt/v/file"), AtomicBool::new(false));
    let (looks, stale) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let version = |n: usize| vec![b'a' + (n % 26) as u8; SIZE];
    fs::write(&file, version(0)).expect("a file");
    let look = |n: usize| -> std::io::Result<()> {
        match n % 3 {
            0 => assert_eq!(fs::metadata(&file)?.size(), SIZE as u64, "attributes"),
            1 => {
                let none = rustix::fs::getxattr(&file, "user.none", &mut [0; 10]).expect_err("it has none");
                if none != rustix::io::Errno::NODATA {
                    return Err(none.into());
                }
            }
            _ => {
                let mut open = fs::File::open(&file)?;
                let mut bytes = Vec::new();
                open.read_to_end(&mut bytes)?;
                assert_eq!(bytes.len(), SIZE, "bytes");
                assert!(bytes.iter().all(|byte| *byte == bytes[0]), "two versions in one");
                assert_eq!(open.metadata()?.size(), SIZE as u64, "attributes of the open file");
            }
        }
        Ok(())
    };
    let read = || {
        for n in 0.. {
            match look(n) {
                _ if stop.load(Ordering::Relaxed) => break,
                Ok(()) => {}
                Err(error) if error.raw_os_error() == Some(Errno::ESTALE as i32) => {
                    stale.fetch_add(1, Ordering::Relaxed);
                }
                Err(error) => panic!("it was looked at in way {}: {error}", n % 3),
            }
            looks.fetch_add(1, Ordering::Relaxed);
        }
    };
    let mut versions = 1;
    std::thread::scope(|scope| {
        let readers: Vec<_> = (0..3).map(|_| scope.spawn(read)).collect();
        let (begun, new) = (Instant::now(), place.path("mnt/v/new"));
        while begun.elapsed() < TIME && !readers.iter().any(|reader| reader.is_finished()) {
            fs::write(&new, version(versions)).expect("a new version");
            fs::rename(&new, &file).expect("it takes the name");
            versions += 1;
        }
        stop.store(true, Ordering::Relaxed);
    });
    let [looks, stale] = [looks, stale].map(AtomicUsize::into_inner);
    println!("{versions} versions, {looks} looks, {stale} of them too late twice");
    assert!(stale * 100 < looks);
}
