//! The client and the archive service over it, against a scripted endpoint, and against the embedded one.

mod client;
mod faults;
mod faulty;
#[path = "../support/kinds.rs"]
mod kinds;
mod queues;
mod retries;
mod script;
mod service;
mod whole;
