//! The Glacier protocol, API version 2012-06-01: what goes over the wire, how it is hashed, signed and refused.
//!
//! [`treehash`], [`sigv4`], [`wire`], [`inventory`] and [`error`] hold the rules that both ends of a connection obey and
//! are all that the embedded endpoint may use. The rest is the client's: [`client`] is its face; below it are transport,
//! payloads and failures.

pub mod client;
pub mod credentials;
pub mod description;
pub mod error;
mod failure;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzzing;
pub mod inventory;
mod payload;
pub mod sigv4;
mod transport;
pub mod treehash;
pub mod wire;
