//! The service in memory that the library's own tests use, which isn't part of the library: taken in by its path, into a room that
//! has what it expects around it.

pub use glacierfs::service::*;

#[allow(dead_code)]
#[path = "../../src/service/fake.rs"]
pub mod fake;
