//! `cwic` as people and scripts meet it: the program itself, against a control
//! plane with a real store that is served on loopback.
#![expect(clippy::unwrap_used, reason = "parts of tests fail by panicking")]

mod bad_input;
mod deleting;
mod help;
mod logging_in;
mod profiles;
mod rig;
mod runners;
