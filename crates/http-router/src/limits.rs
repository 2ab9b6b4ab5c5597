//! The bounds of a router.

use std::time::Duration;

/// How much there may be at once, and how long things may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections of clients; more wait in the kernel's queue.
    pub connections: usize,
    /// Requests of one sandbox that are under way.
    pub requests_each: usize,
    /// Connections that changed their protocol.
    pub tunnels: usize,
    /// Until the head of a request has arrived, and between requests.
    pub head: Duration,
    /// Until a sandbox has taken a connection.
    pub connect: Duration,
    /// Until a sandbox has begun its answer.
    pub answer: Duration,
    /// Without anything to read on a body.
    pub body_pause: Duration,
    /// Without anything to read in either direction of a changed connection.
    pub tunnel_pause: Duration,
    /// For what runs to end when the router ends.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 4096,
            requests_each: 256,
            tunnels: 1024,
            head: Duration::from_secs(30),
            connect: Duration::from_secs(5),
            answer: Duration::from_mins(2),
            body_pause: Duration::from_mins(5),
            tunnel_pause: Duration::from_hours(1),
            drain: Duration::from_secs(5),
        }
    }
}
