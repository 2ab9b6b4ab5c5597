//! What the protocol has and this server does not, refused by name.

use palisade_model::reason::Reason;
use palisade_model::refusal::Refusal;

use crate::error::ApiError;

/// A feature of the protocol; `name` is how programs know it.
pub(super) fn not_implemented(name: &str, feature: &str) -> ApiError {
    let message = format!("this server has no {feature}");
    Refusal::new(Reason::NotImplemented, message)
        .with("feature", name)
        .into()
}
