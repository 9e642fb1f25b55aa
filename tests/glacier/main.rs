//! The client and the archive service over it, against a scripted endpoint.

mod client;
mod script;
mod service;
