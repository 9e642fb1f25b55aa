//! Small things that every room may use: time, sizes, retries, the mount table. Knows nothing of the rest of the house.

pub mod budget;
pub mod causes;
pub mod clock;
pub mod crash;
pub mod money;
pub mod mountinfo;
pub mod queue;
pub mod rate;
pub mod recall;
pub mod retry;
pub mod saved;
pub mod seldom;
pub mod size;
pub mod tier;
