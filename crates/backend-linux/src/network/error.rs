//! Why something was not done, operation by operation.

use std::io;

use super::cable::CableError;
use super::host::HostError;
use super::pool::PoolExhausted;
use super::router::RouterError;
use super::rules::RulesError;
use crate::netlink::KernelError;

/// Another call is just connecting or disconnecting the same sandbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the sandbox is just being connected or disconnected; try again")]
pub struct Busy;

/// Why a sandbox was not connected. Nothing of the attempt is left.
#[derive(Debug, thiserror::Error)]
pub enum AttachError {
    /// It has to be disconnected first.
    #[error("the sandbox is connected already")]
    AlreadyAttached,
    /// No address is left.
    #[error(transparent)]
    PoolExhausted(#[from] PoolExhausted),
    /// The cable could not be laid.
    #[error("could not connect the sandbox to the network")]
    Cable(#[from] CableError),
    /// The policy could not be put in force.
    #[error("could not put the network policy of the sandbox in force")]
    Rules(#[from] RulesError),
    /// The ports of the host could not be made to lead to it.
    #[error("could not have ports of the host lead to the sandbox")]
    Host(#[from] HostError),
}

/// Why another policy was not put in force. The old one still is.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// There is no such sandbox.
    #[error("the sandbox is not connected")]
    NotAttached,
    /// Somebody else is at it.
    #[error(transparent)]
    Busy(#[from] Busy),
    /// The kernel did not take it.
    #[error("could not put the network policy of the sandbox in force")]
    Rules(#[from] RulesError),
    /// The new policy is in force, but connections opened before it may go on.
    #[error("could not end the connections of the sandbox")]
    Flows(#[from] KernelError),
}

/// Why a sandbox is not disconnected completely. Calling again goes on with it.
#[derive(Debug, thiserror::Error)]
pub enum DetachError {
    /// Somebody else is at it.
    #[error(transparent)]
    Busy(#[from] Busy),
    /// Its policy could not be removed.
    #[error("could not remove the network policy of the sandbox")]
    Rules(#[from] RulesError),
    /// Ports of the host still lead to the router.
    #[error("could not take back the ports of the host that led to the sandbox")]
    Host(#[from] HostError),
    /// Its cable or its flows could not be removed.
    #[error("could not disconnect the sandbox from the network")]
    Kernel(#[from] KernelError),
}

/// Why the network could not be removed completely.
#[derive(Debug, thiserror::Error)]
pub enum CloseError {
    /// The router could not be emptied.
    #[error("could not remove the sandboxes from the router")]
    Router(#[from] RouterError),
    /// The host could not be disconnected.
    #[error("could not disconnect the router from the host")]
    Host(#[from] HostError),
    /// The router is still kept.
    #[error("could not release the router's network namespace")]
    Release(#[source] io::Error),
}
