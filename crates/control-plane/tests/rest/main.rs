//! The REST interface over a real store and real HTTP.
#![expect(clippy::unwrap_used, reason = "parts of tests fail by panicking")]

mod bindings;
mod bodies;
mod callers;
mod changes;
mod concurrency;
mod deletion;
mod denials;
mod etags;
mod networks;
mod openapi;
mod overload;
mod placing;
mod plane;
mod probes;
mod profile_errors;
mod profiles;
mod quota_limits;
mod quotas;
mod rollback;
mod runner_errors;
mod runners;
mod secrets;
mod usage;
