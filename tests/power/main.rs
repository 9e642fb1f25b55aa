//! Kills and power cuts: what was acknowledged, or synced, is there afterwards.
//!
//! Changes are made in a real mount, and the history of every file is kept (`work`), by several at a time (`crowd`). `kills` ends the
//! daemon at random moments, `matrix` at each point that orders durability, and `soak` now and then while the service fails: all
//! that was acknowledged has to be there after the next start. `cuts` has the state directory on a disk that records each write
//! and sync (`recorder`), and makes what it may hold after a power cut at many moments (`image`): all that was synced has to be there; `partial`
//! does so while a file is brought back piece by piece. On the same disk, `late` has syncs fail.
//!
//! GLACIERFS_POWER_SEED=N makes the same changes again (their timing differs), GLACIERFS_POWER_STEPS=N so many of them,
//! GLACIERFS_POWER_CUTS=N cuts at so many moments, GLACIERFS_POWER_KILLS=N kills so often, GLACIERFS_POWER_POINTS=N at each point so
//! often, GLACIERFS_POWER_POINT=NAME at one only, GLACIERFS_POWER_SOAK=N soaks for so many seconds. Needs /dev/fuse and rsync.

mod crowd;
mod cuts;
mod image;
mod kills;
#[path = "../support/kinds.rs"]
mod kinds;
mod late;
#[cfg(debug_assertions)]
mod matrix;
mod partial;
mod recorder;
mod soak;
#[path = "../support/mod.rs"]
mod support;
mod work;

fn number(variable: &str, otherwise: u64) -> u64 {
    std::env::var(variable).map_or(otherwise, |value| value.parse().expect("a number"))
}
