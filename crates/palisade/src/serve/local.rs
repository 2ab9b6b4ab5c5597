//! Calls inside this process: how the runner of `palisade dev` reaches its gateway.
//!
//! The same messages as over TCP go to the same services, with the same checks. What
//! is left out is what a network needs: connections, HTTP/2, and the copying of both.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;

use axum::Router;
use futures_util::FutureExt as _;
use http::{Request, Response};
use palisade_runner::{Dial, Transport};
use tonic::body::Body;
use tower::{ServiceExt as _, service_fn};

use super::Server;

/// Reaches the services of `server` without a network, until it ends.
pub(crate) fn dial(server: Server) -> Dial {
    Arc::new(move || {
        let Server { services, stop, .. } = server.clone();
        async move {
            if stop.is_cancelled() {
                return Err(io::Error::from(io::ErrorKind::ConnectionRefused).into());
            }
            let grpc = services.grpc;
            Ok(Transport::new(service_fn(move |request| {
                answer(grpc.clone(), request)
            })))
        }
        .boxed()
    })
}

async fn answer(grpc: Router, request: Request<Body>) -> Result<Response<Body>, Infallible> {
    let answered = grpc.oneshot(request.map(axum::body::Body::new)).await?;
    Ok(answered.map(Body::new))
}
