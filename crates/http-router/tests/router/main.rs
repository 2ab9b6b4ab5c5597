//! The router between real clients and real servers, over sockets.

mod answers;
mod callers;
mod place;
mod refusals;
mod secure;
mod tunnels;
