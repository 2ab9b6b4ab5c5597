//! Calls about quotas.

use palisade_wire::rest::QuotaReport;
use reqwest::Method;

use crate::call::{Call, Client};
use crate::error::CallError;
use crate::profiles::BASE;

impl Client {
    /// Tells where the organization and a user stand, the caller without another.
    pub async fn quota(&self, user: Option<&str>) -> Result<QuotaReport, CallError> {
        let path = [BASE[0], BASE[1], "quota"];
        let user = user.map(|user| ("user", user.to_owned()));
        self.read(Call {
            query: user.into_iter().collect(),
            ..Call::new(Method::GET, &path)
        })
        .await
    }
}
