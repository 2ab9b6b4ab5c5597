//! What carries calls to a gateway: a connection, or the gateway's own services in
//! this process.
//!
//! Whatever it is, the same messages go over it and the same checks are made at its
//! end. It says nothing of how it comes about; that is the part of a [`Dial`].

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::future::BoxFuture;
use http::{Request, Response};
use tonic::body::Body;
use tonic::transport::Channel;
use tower::util::{BoxCloneSyncService, MapErr};
use tower::{BoxError, Service, ServiceExt as _};

/// Opens a way to a gateway; called again after each loss.
pub type Dial = Arc<dyn Fn() -> BoxFuture<'static, Result<Transport, BoxError>> + Send + Sync>;

type Carrier = BoxCloneSyncService<Request<Body>, Response<Body>, BoxError>;

/// Carries calls to a gateway. Cheap to clone.
#[derive(Clone)]
pub struct Transport(Carrier);

impl Transport {
    /// Has a service answer the calls.
    pub fn new<S, E>(service: S) -> Self
    where
        S: Service<Request<Body>, Response = Response<Body>, Error = E>
            + Clone
            + Send
            + Sync
            + 'static,
        S::Future: Send + 'static,
        E: Into<BoxError> + 'static,
    {
        let service: MapErr<S, fn(E) -> BoxError> = service.map_err(Into::into);
        Self(BoxCloneSyncService::new(service))
    }
}

impl From<Channel> for Transport {
    fn from(channel: Channel) -> Self {
        Self::new(channel)
    }
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Transport")
    }
}

impl Service<Request<Body>> for Transport {
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = <Carrier as Service<Request<Body>>>::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        self.0.call(request)
    }
}
