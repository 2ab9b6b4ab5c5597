//! Connections inside this process: how the runner of `palisade dev` reaches
//! its gateway.
//!
//! The same bytes as over TCP, through memory, so that both ends run the code
//! that they run when a network is between them.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use futures_util::FutureExt as _;
use hyper_util::rt::TokioIo;
use palisade_runner::Dial;
use tokio::io::DuplexStream;
use tonic::transport::Endpoint;
use tower::service_fn;

use super::Server;

/// Bytes that may be under way in each direction.
const BUFFER_BYTES: usize = 512 * 1024;

/// Dials `server` without a network.
pub(crate) fn dial(server: Server) -> Dial {
    Arc::new(move || {
        let server = server.clone();
        let connector = service_fn(move |_| {
            let server = server.clone();
            async move { connect(&server).await.map(TokioIo::new) }
        });
        // The address is never resolved: the connector ignores it.
        let endpoint = super::as_much_both_ways(Endpoint::from_static("http://palisade.local"));
        async move { endpoint.connect_with_connector(connector).await }.boxed()
    })
}

async fn connect(server: &Server) -> io::Result<DuplexStream> {
    if server.stop.is_cancelled() {
        return Err(io::ErrorKind::ConnectionRefused.into());
    }
    let (near, far) = tokio::io::duplex(BUFFER_BYTES);
    let permit = server.permit().await;
    let here = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    server.begin(far, here, None, permit);
    Ok(near)
}
