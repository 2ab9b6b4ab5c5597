//! Calls about sandboxes: starting, looking at, using and ending them.
//!
//! They go to the gateway, over one connection of HTTP/2 that is made with the
//! first call. What the gateway refuses reads like a refusal of the control
//! plane. Streams have flow control in both directions and nothing that gathers
//! up: a reader that is slow slows the sandbox down.

mod calls;
mod exec;
mod failure;
mod logs;
mod snapshots;
mod tunnel;

use std::fmt;
use std::time::Duration;

use palisade_wire::proto::tunnel_v1::tunnel_service_client::TunnelServiceClient;
use palisade_wire::proto::v1beta2::gateway_service_client::GatewayServiceClient;
use palisade_wire::proto::v1beta2::gateway_streaming_service_client::GatewayStreamingServiceClient;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};
use tonic::{Request, Status};

pub use calls::SandboxFilter;
pub use exec::{ClosedInput, Command, Exec, ExecEvent, ExecInput, ExecOutput, Terminal};
pub use logs::{LogPiece, LogPlace, LogReading, Logs};
pub use tunnel::{Tunnel, TunnelEvent, TunnelInput, TunnelOutput};

use crate::call::{CONNECT_TIME, SetupError};
use crate::server::Server;
use crate::trust::Trust;

/// The largest message in either direction.
const MESSAGE_BYTES_MAX: usize = 100 * 1024 * 1024;
/// How often a connection on which nothing happens is tried.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(20);
/// A server that does not answer that within this time is gone.
const KEEP_ALIVE_TIME: Duration = Duration::from_secs(20);
/// How many frames of input may wait for the network.
const FRAMES_MAX: usize = 4;
/// How much goes into one frame of input.
const FRAME_BYTES_MAX: usize = 256 * 1024;

type Service = InterceptedService<Channel, Bearer>;

/// Calls the gateway of one server as the holder of one token. Cheap to clone.
#[derive(Clone)]
pub struct Sandboxes {
    server: String,
    channel: Channel,
    bearer: Bearer,
}

/// Says who calls.
#[derive(Clone)]
struct Bearer(MetadataValue<Ascii>);

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        let metadata = request.metadata_mut();
        metadata.insert("authorization", self.0.clone());
        Ok(request)
    }
}

impl Sandboxes {
    pub(crate) fn new(
        server: &Server,
        authorization: &[u8],
        trust: &Trust,
    ) -> Result<Self, SetupError> {
        let text = std::str::from_utf8(authorization).map_err(|_| SetupError::BadToken)?;
        let mut bearer: MetadataValue<Ascii> = text.parse().map_err(|_| SetupError::BadToken)?;
        bearer.set_sensitive(true);
        let setup = |error: tonic::transport::Error| SetupError::Tls(error.into());
        let agent = concat!("palisade-client/", env!("CARGO_PKG_VERSION"));
        let mut endpoint = Endpoint::from_shared(server.to_string())
            .and_then(|endpoint| endpoint.user_agent(agent))
            .map_err(setup)?
            .connect_timeout(CONNECT_TIME)
            .tcp_nodelay(true)
            .http2_adaptive_window(true)
            .http2_keep_alive_interval(KEEP_ALIVE_INTERVAL)
            .keep_alive_timeout(KEEP_ALIVE_TIME);
        if server.is_encrypted() {
            let tls = match trust {
                Trust::System => ClientTlsConfig::new().with_native_roots(),
                Trust::Only(pem) => {
                    ClientTlsConfig::new().ca_certificate(Certificate::from_pem(pem))
                }
            };
            endpoint = endpoint.tls_config(tls).map_err(setup)?;
        }
        Ok(Self {
            server: server.to_string(),
            channel: endpoint.connect_lazy(),
            bearer: Bearer(bearer),
        })
    }

    fn service(&self) -> Service {
        InterceptedService::new(self.channel.clone(), self.bearer.clone())
    }

    fn gateway(&self) -> GatewayServiceClient<Service> {
        GatewayServiceClient::new(self.service())
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX)
    }

    fn streaming(&self) -> GatewayStreamingServiceClient<Service> {
        GatewayStreamingServiceClient::new(self.service())
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
    }

    fn tunnels(&self) -> TunnelServiceClient<Service> {
        TunnelServiceClient::new(self.service()).max_decoding_message_size(MESSAGE_BYTES_MAX)
    }
}

impl fmt::Debug for Sandboxes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sandboxes")
            .field("server", &self.server)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
