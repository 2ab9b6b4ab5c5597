//! The HTTP entry point inside the router: where sandboxes find it, and its way to others.
//!
//! It is at the addresses of the resolver, and only for sandboxes whose mode reaches
//! others at all. What it opens for a sandbox shows a claim of that sandbox, and what it opens for
//! those outside that of strangers, so that the rules decide about it as they would about
//! the one who asks.

use std::collections::BTreeSet;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use nix::sys::socket::{setsockopt, sockopt};
use palisade_model::id::SandboxId;

use super::numbers::Mark;
use super::rules::{Rules, RulesError};
use super::sockets::Outward;
use super::{Network, layout, lock};

/// Makes sockets inside the router, whose packets say for whom they are.
#[derive(Clone, Debug)]
pub(crate) struct Inward {
    sockets: Outward,
    rules: Arc<Mutex<Rules>>,
}

impl Network {
    /// A way to sandboxes, as far as they let those in who ask.
    pub(crate) fn inward(&self) -> io::Result<Inward> {
        Ok(Inward {
            sockets: Outward::from(&self.router)?,
            rules: Arc::clone(&self.rules),
        })
    }

    /// Listens where sandboxes find the entry point.
    pub(crate) fn listen_for_sandboxes(&self, port: u16) -> io::Result<Vec<TcpListener>> {
        let listen = || {
            let bound = self.resolver().iter().map(|address| {
                let listener = TcpListener::bind((address, port))?;
                listener.set_nonblocking(true)?;
                Ok(listener)
            });
            bound.collect()
        };
        self.router.visit(listen)?
    }

    /// Lets sandboxes come to these ports, if their mode reaches others.
    pub(crate) fn offer_entry(&self, ports: BTreeSet<u16>) -> Result<(), RulesError> {
        lock(&self.rules).offer_entry(ports)
    }
}

impl Inward {
    /// A socket that can be connected to a port of a target, for this caller or for a stranger.
    pub(crate) async fn stream(
        &self,
        caller: Option<SandboxId>,
        target: SandboxId,
        to: SocketAddr,
    ) -> io::Result<TcpStream> {
        let mark = match caller {
            None => Mark::STRANGER,
            Some(caller) => self.claim(caller, target).await?,
        };
        let socket = self.sockets.stream(to).await?;
        setsockopt(&socket, sockopt::Mark, &mark.number())?;
        Ok(socket)
    }

    async fn claim(&self, caller: SandboxId, target: SandboxId) -> io::Result<Mark> {
        let rules = Arc::clone(&self.rules);
        // Whoever changes the rules holds them while the kernel works.
        let found = tokio::task::spawn_blocking(move || {
            let names = [caller, target].map(layout::interface);
            lock(&rules).common_claim(&names[0], &names[1])
        });
        let found = found.await.map_err(io::Error::other)?;
        // What one of them may do has just changed.
        found.ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}
