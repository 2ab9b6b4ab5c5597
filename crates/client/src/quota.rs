//! Calls about quotas.

use palisade_wire::rest::{LimitSet, QuotaLimits, QuotaReport};
use reqwest::Method;
use serde_json::json;

use crate::call::{Call, Client};
use crate::error::CallError;
use crate::profiles::{BASE, Change};

const LIMITS: [&str; 4] = [BASE[0], BASE[1], "quota", "limits"];

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

    /// Tells what was set for the organization and its users.
    pub async fn quota_limits(&self) -> Result<QuotaLimits, CallError> {
        self.read(Call::new(Method::GET, &LIMITS)).await
    }

    /// Replaces the limits of one user, or of every user that has none of his own;
    /// `None` takes those of a user away.
    pub async fn set_quota_limits(
        &self,
        user: Option<&str>,
        limits: Option<&LimitSet>,
        change: &Change,
    ) -> Result<QuotaLimits, CallError> {
        let mut path = LIMITS.to_vec();
        match user {
            Some(user) => path.extend(["users", user]),
            None => path.push("each-user"),
        }
        let method = match limits {
            Some(_) => Method::PUT,
            None => Method::DELETE,
        };
        let body = limits.map(|limits| json!(limits));
        self.write(Call {
            query: change.query(),
            body: body.as_ref(),
            if_match: change.etag.as_deref(),
            ..Call::new(method, &path)
        })
        .await
    }
}
