//! Protobuf, REST JSON and YAML, translated from and to the domain.
//!
//! The only crate that knows field names. Everything that enters is parsed here
//! once, into types that cannot be wrong, or refused with the place and the
//! rule. Nothing here decides anything, stores anything or opens a socket.

pub mod codec;
pub mod document;
pub mod envelope;
mod field_mask;
pub mod grpc_call;
pub mod grpc_status;
pub mod headers;
pub mod http2;
mod located;
pub mod media;
pub mod page_token;
pub mod profile_document;
pub mod proto;
pub mod query;
pub mod rest;
pub mod runner;
pub mod runner_document;
pub mod spelling;
pub mod start_document;
pub mod status;
pub mod timestamp;
pub mod transcode;
pub mod tunnel;
pub mod v1beta2;

pub use located::{Located, Source};
