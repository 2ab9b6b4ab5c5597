//! Waiting for changes.

use std::time::Duration;

use palisade_wire::rest::ListChangesAnswer;
use reqwest::Method;

use crate::call::{Call, Client};
use crate::error::CallError;
use crate::profiles::BASE;

impl Client {
    /// Waits for changes behind a place, and at most for so long, in seconds;
    /// without a place, returns at once the one to begin at.
    pub async fn changes(
        &self,
        after: Option<&str>,
        wait: Duration,
    ) -> Result<ListChangesAnswer, CallError> {
        let path = [BASE[0], BASE[1], "changes"];
        let after = after.map(|place| ("after", place.to_owned()));
        let wait = ("waitSeconds", wait.as_secs().to_string());
        self.read(Call {
            query: after.into_iter().chain([wait]).collect(),
            ..Call::new(Method::GET, &path)
        })
        .await
    }
}
