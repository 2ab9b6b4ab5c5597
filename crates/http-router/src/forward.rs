//! One request, from its host name to the end of its answer.

use std::convert::Infallible;
use std::sync::Arc;

use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderValue, Request, Response, StatusCode, Version};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time;
use tracing::debug;

use crate::body::{Body, Watched, whole};
use crate::fault::Fault;
use crate::headers;
use crate::host::{HostName, HostNameError};
use crate::limits::Limits;
use crate::routes::Laid;
use crate::server::{Client, Router};
use crate::{tunnel, upstream, websocket};

/// A connection that is to change its protocol.
struct Change {
    protocol: HeaderValue,
    client: OnUpgrade,
    room: OwnedSemaphorePermit,
    from: Client,
}

/// For which host, and from whom, a request came.
#[derive(Clone, Copy)]
struct Asker<'a> {
    host: &'a HostName,
    client: &'a Client,
}

impl Router {
    /// Answers a request: as the sandbox does, or says why it cannot.
    pub(crate) async fn answer(
        self,
        request: Request<Incoming>,
        client: Client,
    ) -> Result<Response<Body>, Infallible> {
        let accept = request.headers().get(ACCEPT).cloned();
        let peer = client.address;
        let forwarded = self.forward(request, client).await;
        Ok(forwarded.unwrap_or_else(|fault| {
            debug!(%peer, %fault, "a request did not reach a sandbox");
            fault.answer(accept.as_ref())
        }))
    }

    async fn forward(
        &self,
        mut request: Request<Incoming>,
        client: Client,
    ) -> Result<Response<Body>, Fault> {
        let is_folded = websocket::unfold(&mut request)?;
        let host = HostName::of(&request)?;
        let laid = self.routes.of_host(&host);
        let is_admitted = |laid: &Laid| (self.ways.admit)(client.visitor, &laid.route);
        // Whoever may not use a name learns nothing of it.
        let laid = laid.filter(is_admitted);
        let laid = laid.ok_or_else(|| Fault::NoSandbox(host.clone()))?;
        let room = Arc::clone(&laid.room).try_acquire_owned();
        let room = room.map_err(|_| Fault::Busy)?;
        let change = self.change(&mut request, is_folded, &client)?;
        let asker = Asker {
            host: &host,
            client: &client,
        };
        let protocol = change.as_ref().map(|change| change.protocol.clone());
        let response = self.ask(request, asker, protocol, &laid).await?;
        let port = laid.route.target.port();
        let status = response.status();
        if status != StatusCode::SWITCHING_PROTOCOLS {
            // To a client of HTTP/2, any success would say that it has changed.
            let is_misleading = is_folded && status.is_success();
            return if is_misleading {
                Err(Fault::BadAnswer { port })
            } else {
                Ok(self.pass_on(response, &laid, room))
            };
        }
        let change = change.ok_or(Fault::BadAnswer { port })?;
        let mut changed = self.change_over(response, change, laid);
        if is_folded {
            websocket::fold(&mut changed);
        }
        Ok(changed)
    }

    /// Makes room for a connection that wants to change its protocol.
    fn change(
        &self,
        request: &mut Request<Incoming>,
        is_folded: bool,
        client: &Client,
    ) -> Result<Option<Change>, Fault> {
        let folded = is_folded.then_some(websocket::PROTOCOL);
        let Some(protocol) = folded.or_else(|| headers::wanted_protocol(request)) else {
            return Ok(None);
        };
        let room = Arc::clone(self.tunnels(client.visitor)).try_acquire_owned();
        Ok(Some(Change {
            protocol,
            client: hyper::upgrade::on(request),
            room: room.map_err(|_| Fault::TunnelsFull)?,
            from: client.clone(),
        }))
    }

    async fn ask(
        &self,
        request: Request<Incoming>,
        asker: Asker<'_>,
        protocol: Option<HeaderValue>,
        laid: &Laid,
    ) -> Result<Response<Incoming>, Fault> {
        let port = laid.route.target.port();
        let is_grpc = is_grpc(&request);
        let (mut head, body) = request.into_parts();
        headers::strip(&mut head.headers);
        headers::introduce(&mut head.headers, asker.host, asker.client);
        if let Some(protocol) = protocol {
            headers::change_to(&mut head.headers, protocol);
        }
        let uri = upstream::address(laid.route.sandbox, asker.client.visitor, &head.uri);
        head.uri = uri.ok_or(Fault::Host(HostNameError::Malformed))?;
        head.version = if is_grpc {
            Version::HTTP_2
        } else {
            Version::HTTP_11
        };
        let body = Watched::new(body, self.limits.body_pause, laid.gone.clone(), None);
        let sent = self
            .upstream
            .send(Request::from_parts(head, body.boxed()), is_grpc);
        tokio::select! {
            biased;
            () = laid.gone.cancelled() => Err(Fault::Ended),
            answered = time::timeout(self.limits.answer, sent) => match answered {
                Ok(answered) => answered.map_err(|error| upstream::fault(&error, port)),
                Err(_) => Err(Fault::Slow),
            },
        }
    }

    fn pass_on(
        &self,
        response: Response<Incoming>,
        laid: &Laid,
        room: OwnedSemaphorePermit,
    ) -> Response<Body> {
        let (mut head, body) = response.into_parts();
        headers::strip(&mut head.headers);
        head.version = Version::default();
        let body = Watched::new(body, self.limits.body_pause, laid.gone.clone(), Some(room));
        Response::from_parts(head, body.boxed())
    }

    /// Answers that the protocol changes, and carries what follows.
    fn change_over(
        &self,
        mut response: Response<Incoming>,
        change: Change,
        laid: Laid,
    ) -> Response<Body> {
        let server = hyper::upgrade::on(&mut response);
        let (gone, limits) = (laid.gone, self.limits);
        let carried = async move {
            let ended = change.from.gone.clone();
            let carried = ended.run_until_cancelled(carry(change, server, limits));
            gone.run_until_cancelled(carried).await;
        };
        let stop = self.stop.clone();
        self.tasks.spawn(stop.run_until_cancelled_owned(carried));
        let (mut head, _) = response.into_parts();
        let protocol = head.headers.get(http::header::UPGRADE).cloned();
        headers::strip(&mut head.headers);
        if let Some(protocol) = protocol {
            headers::change_to(&mut head.headers, protocol);
        }
        Response::from_parts(head, whole(""))
    }
}

/// Carries bytes between two connections once both have changed their protocol.
async fn carry(change: Change, server: OnUpgrade, limits: Limits) {
    let both = futures_util::future::try_join(change.client, server);
    let Ok(Ok((client, server))) = time::timeout(limits.head, both).await else {
        return;
    };
    let (client, server) = (TokioIo::new(client), TokioIo::new(server));
    if let Err(error) = tunnel::carry(client, server, limits.tunnel_pause).await {
        debug!(%error, "a changed connection ended badly");
    }
    drop((change.room, change.from));
}

/// gRPC speaks HTTP/2 only, on every part of its way.
fn is_grpc<T>(request: &Request<T>) -> bool {
    let kind = request.headers().get(CONTENT_TYPE);
    request.version() == Version::HTTP_2
        && kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"))
}
