//! Who comes in, and what a router is told about that.
//!
//! What clients say of themselves counts for nothing. Outside of the sandboxes' network nobody can
//! be told from anybody else; inside of it the source address says which sandbox
//! calls, and somebody else vouches for it.

use std::fmt;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use palisade_model::id::SandboxId;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::routes::Route;

/// Where a door is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Where anybody can come.
    Outside,
    /// Where only sandboxes can come, each with an address of its own.
    Inside,
}

/// Who asks for something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Visitor {
    /// Whoever came from outside.
    Stranger,
    /// A sandbox.
    Sandbox(SandboxId),
}

/// A sandbox that calls.
#[derive(Clone, Debug)]
pub struct Caller {
    /// Which one.
    pub sandbox: SandboxId,
    /// Bounds its connections.
    pub room: Arc<Semaphore>,
    /// Ends them when it goes, or when it may do something else than before.
    pub gone: CancellationToken,
}

/// Finds the sandbox that has an address.
pub type Identify = Arc<dyn Fn(IpAddr) -> Option<Caller> + Send + Sync>;

/// Whether somebody may take a route.
pub type Admit = Arc<dyn Fn(Visitor, &Route) -> bool + Send + Sync>;

/// How somebody who may take a route gets to the sandbox at its end.
pub type Connect =
    Arc<dyn Fn(Visitor, Route) -> BoxFuture<'static, io::Result<TcpStream>> + Send + Sync>;

/// What a router does not know by itself. Cheap to clone.
#[derive(Clone)]
pub struct Ways {
    /// Who calls from inside.
    pub identify: Identify,
    /// Who may come in.
    pub admit: Admit,
    /// The way to sandboxes.
    pub connect: Connect,
}

impl fmt::Debug for Ways {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ways")
    }
}
