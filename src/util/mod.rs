//! Small things that every room may use: time, sizes, retries. Knows nothing of the rest of the house.

pub mod clock;
pub mod retry;
pub mod size;
