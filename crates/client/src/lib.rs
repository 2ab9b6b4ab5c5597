//! Calls the control plane over REST, and the gateway over gRPC.
//!
//! Every call is bounded in time and every answer in size. What the server
//! refuses comes back as a typed [`Refused`]; what is not an answer of this
//! service is told apart from it. The token is sent to the configured server
//! and to nobody else: redirects are not followed.

mod call;
mod certificate;
mod changes;
mod denials;
mod error;
mod placing;
mod profiles;
mod quota;
mod runners;
mod sandboxes;
mod secrets;
mod server;
mod trust;

pub use call::{Client, SetupError};
pub use certificate::BadCertificate;
pub use error::{CallError, Refused};
pub use profiles::Change;
pub use runners::{Ending, RunnerFilter};
pub use sandboxes::{
    ClosedInput, Command, Exec, ExecEvent, ExecInput, ExecOutput, LogPiece, LogPlace, LogReading,
    Logs, SandboxFilter, Sandboxes, Terminal, Tunnel, TunnelEvent, TunnelInput, TunnelOutput,
};
pub use secrets::SecretStore;
pub use server::{BadServer, Server};
pub use trust::Trust;
