//! The HTTP entry point of a runner: a request for a host name goes to a port
//! of the sandbox that has that name, and to nothing else.
//!
//! Speaks HTTP/1.1 and HTTP/2 to clients, with TLS or without, HTTP/1.1 to sandboxes and HTTP/2 where
//! gRPC needs it. Bodies are streamed, and connections that change their
//! protocol, such as `WebSockets`, are passed on. Knows names, addresses and ports;
//! it does not decide who gets a name or may use one, and how a sandbox is reached is given to
//! it as a function.
//!
//! Invariant: a connection that was opened to one sandbox never carries a request
//! for another, whatever address they have had, nor one of another caller that is a
//! sandbox. Everything is bounded: clients,
//! requests of a sandbox, changed connections, and every wait.

mod body;
mod fault;
mod forward;
mod headers;
mod host;
mod limits;
mod routes;
mod server;
mod tls;
mod tunnel;
mod upstream;
mod visitor;
mod websocket;

pub use host::{HostName, HostNameError};
pub use limits::Limits;
pub use routes::{Route, RouteError, Routes};
pub use server::Router;
pub use tls::{CertificateError, Certificates};
pub use visitor::{Admit, Caller, Connect, Identify, Side, Visitor, Ways};
