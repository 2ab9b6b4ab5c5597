//! Making and changing profiles and runners with a person at a terminal.
//!
//! A wizard asks what must be known, has the rest written in an editor, checks
//! it here and on the server, shows what would happen and asks once more. Until
//! then nothing is changed anywhere. Each has a twin without questions: `-f`.

mod change;
mod compare;
mod desk;
mod letter;
mod new_profile;
mod new_runner;
mod profile_questions;
mod profile_template;
mod runner_questions;
mod runner_summary;
mod runner_template;

pub(crate) use change::{edit_profile, edit_runner};
pub(crate) use desk::Wish;
pub(crate) use new_profile::create_profile;
pub(crate) use new_runner::create_runner;
pub(crate) use runner_summary::Bindings;
