//! Calls about what was refused on the network.

use palisade_wire::rest::{Denials, ProfileDenials};
use reqwest::Method;

use crate::call::{Call, Client};
use crate::error::CallError;
use crate::profiles::{BASE, PROFILES};

impl Client {
    /// Tells what was refused to a sandbox.
    pub async fn sandbox_denials(&self, id: &str) -> Result<Denials, CallError> {
        let path = [BASE[0], BASE[1], "sandboxes", id, "denials"];
        self.read(Call::new(Method::GET, &path)).await
    }

    /// Tells what was refused to all sandboxes of a profile, by id or name.
    pub async fn profile_denials(&self, profile: &str) -> Result<ProfileDenials, CallError> {
        let path = [BASE[0], BASE[1], PROFILES, profile, "denials"];
        self.read(Call::new(Method::GET, &path)).await
    }
}
