//! The Glacier protocol, API version 2012-06-01: what goes over the wire, how it is hashed, signed and refused.
//!
//! [`treehash`], [`sigv4`], [`wire`], [`inventory`] and [`error`] hold the rules that both ends of a connection obey and
//! are all that the embedded endpoint may use; the rest is the client's.

pub mod description;
pub mod error;
pub mod inventory;
pub mod sigv4;
pub mod treehash;
pub mod wire;
