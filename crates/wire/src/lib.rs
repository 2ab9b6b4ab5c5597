//! Protobuf, REST JSON and YAML, translated from and to the domain.
//!
//! The only crate that knows field names. Everything that enters is parsed here
//! once, into types that cannot be wrong, or refused with the place and the
//! rule. Nothing here decides anything, stores anything or opens a socket.

pub mod document;
pub mod grpc_status;
pub mod proto;
pub mod runner;
pub mod spelling;
pub mod status;
pub mod timestamp;
pub mod v1beta2;
