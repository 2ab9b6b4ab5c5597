//! `cwic` as people and scripts meet it: the program itself, against a control
//! plane with a real store that is served on loopback.
#![expect(clippy::unwrap_used, reason = "parts of tests fail by panicking")]

mod bad_input;
mod bad_servers;
mod contexts;
mod deleting;
mod denials;
mod documents;
mod editor_sessions;
mod errors;
mod help;
mod insight;
mod logging_in;
mod platform;
mod profile_editing;
mod profile_wizard;
mod profiles;
mod pty;
mod quotas;
mod rig;
mod runner_wizard;
mod runners;
mod sandboxes;
mod schema;
mod secrets;
mod seed_page;
mod showing;
mod tool;
mod wire;
