//! How much may be on its way over HTTP/2, between clients, gateways and runners.
//!
//! All streams of a runner share one connection, and those who read them, or do not,
//! belong to different tenants. Invariant: the window of a connection has room for the
//! windows of all of its streams at once, so that streams which nobody reads take nothing
//! from the others. What it bounds is memory, which a peer takes only by sending.

use tonic::transport::Endpoint;

/// Streams at once on one connection. An SDK opens one for each exec, and a runner
/// serves all that clients open on its sandboxes over the one that it dials.
pub const STREAMS_MAX: u32 = 20_000;

/// How much may be on its way on one stream.
pub const STREAM_WINDOW: u32 = 96 * 1024;

/// How much may be on its way on one connection: as much as the protocol lets it be.
///
/// The library also ends connections on which many small frames wait, from half of this
/// on; a stream has far less.
pub const CONNECTION_WINDOW: u32 = (1 << 31) - 1;

/// The most payload of one HTTP/2 frame: a piece of output with all around it. Each frame
/// costs the same, and the usual 16 KiB make five of one.
pub const FRAME_BYTES_MAX: u32 = 72 * 1024;

const _: () = assert!(
    STREAMS_MAX as u64 * STREAM_WINDOW as u64 <= CONNECTION_WINDOW as u64,
    "all streams fit their connection"
);

/// How much a client of such a server takes at once, to have the same both ways.
pub fn as_much_both_ways(endpoint: Endpoint) -> Endpoint {
    endpoint
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_frame_size(FRAME_BYTES_MAX)
}
