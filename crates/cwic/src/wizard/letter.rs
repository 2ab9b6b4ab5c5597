//! What is written in an editor and sent to the server.

use palisade_client::{CallError, Client};
use palisade_wire::spelling::Finding;

use crate::error::CliError;
use crate::input::Kind;
use crate::input::typed::Typed;
use crate::out::Out;

/// A document that a person writes and the server gets.
pub(super) trait Letter {
    /// How the text is read.
    fn kind(&self) -> Kind<'_>;

    /// What is wrong with it beyond what its kind demands.
    fn check(&self, typed: &Typed) -> Vec<Finding>;

    /// Whether it would change nothing.
    fn is_unchanged(&self, typed: &Typed) -> bool;

    /// What it would do, on lines for a person.
    fn summary(&self, typed: &Typed) -> String;

    /// What is asked before it is sent, if anything is.
    fn question(&self, typed: &Typed) -> Option<String>;

    /// What did not happen when it was refused.
    fn refusal(&self, typed: &Typed) -> String;

    /// Sends it, or has it only checked; returns what is told of the success.
    async fn send(
        &self,
        typed: &Typed,
        is_dry_run: bool,
        client: &Client,
    ) -> Result<String, CallError>;

    /// Takes up what somebody else changed meanwhile, tells both versions, and
    /// returns the text to go on with. `None` if that cannot happen.
    async fn catch_up(
        &mut self,
        _typed: &Typed,
        _client: &Client,
        _out: &mut Out,
    ) -> Result<Option<String>, CliError> {
        // What does not exist yet was not changed by anybody.
        Ok(None)
    }
}
