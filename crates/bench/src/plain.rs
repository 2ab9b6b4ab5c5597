//! A plain stream and a plain call of the library that the platform is built on: what
//! they cost without a platform behind them. The stream sends the same frames as a
//! command; the call takes a file, and drops it.

use std::net::Ipv4Addr;
use std::pin::Pin;

use axum::Router;
use axum::routing::post;
use futures_util::{Stream, stream};
use palisade_wire::proto::v1beta2 as pb;
use palisade_wire::proto::v1beta2::exec_stream_output::StreamType;
use palisade_wire::proto::v1beta2::exec_stream_response::Response as Output;
use palisade_wire::proto::v1beta2::gateway_streaming_service_server::{
    GatewayStreamingService, GatewayStreamingServiceServer,
};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::server::Grpc;
use tonic::service::Routes;
use tonic::transport::Server;
use tonic::{Request, Response, Status, Streaming, async_trait};
use tonic_prost::ProstCodec;

/// What process 1 of a sandbox reads at once.
const FRAME_BYTES: u64 = 64 * 1024;

/// The call that carries files.
const ADD_FILE: &str = "/coreweave.sandbox.v1beta2.GatewayService/AddFile";

/// Sends so many bytes to whoever asks.
#[derive(Debug)]
struct Plain {
    bytes: u64,
}

type Boxed<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// Serves it on a free port for as long as this process lives; returns its URL.
pub(crate) async fn serve(bytes: u64) -> anyhow::Result<String> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let url = format!("http://{}", listener.local_addr()?);
    let routes = Routes::from(Router::new().route(ADD_FILE, post(take_file)));
    let routes = routes.add_service(GatewayStreamingServiceServer::new(Plain { bytes }));
    let server = Server::builder()
        .tcp_nodelay(true)
        .add_routes(routes)
        .serve_with_incoming(TcpListenerStream::new(listener));
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(server);
    tasks.detach_all();
    Ok(url)
}

/// Answers one call, and decodes it as any server of the library does.
async fn take_file(request: axum::extract::Request) -> http::Response<tonic::body::Body> {
    let codec = ProstCodec::<pb::AddFileSandboxResponse, pb::AddFileSandboxRequest>::default();
    let mut grpc = Grpc::new(codec).apply_max_message_size_config(Some(usize::MAX), None);
    let drop_it = tower::service_fn(|_: Request<pb::AddFileSandboxRequest>| async {
        Ok::<_, Status>(Response::new(pb::AddFileSandboxResponse::default()))
    });
    grpc.unary(drop_it, request).await
}

#[async_trait]
impl GatewayStreamingService for Plain {
    type StreamExecStream = Boxed<pb::ExecStreamResponse>;
    type StreamLogsStream = Boxed<pb::LogStreamResponse>;

    async fn stream_exec(
        &self,
        _: Request<Streaming<pb::ExecStreamRequest>>,
    ) -> Result<Response<Self::StreamExecStream>, Status> {
        let frame = vec![0; usize::try_from(FRAME_BYTES).unwrap_or(0)];
        let output = pb::ExecStreamOutput {
            stream_type: StreamType::Stdout.into(),
            data: frame.into(),
            ..Default::default()
        };
        let count = self.bytes.div_ceil(FRAME_BYTES);
        let outputs = (0..count).map(move |_| Output::Output(output.clone()));
        let exit = Output::Exit(pb::ExecStreamExit::default());
        let answers = outputs.chain([exit]).map(|response| {
            let response = Some(response);
            Ok(pb::ExecStreamResponse { response })
        });
        Ok(Response::new(Box::pin(stream::iter(answers))))
    }

    async fn stream_logs(
        &self,
        _: Request<Streaming<pb::LogStreamRequest>>,
    ) -> Result<Response<Self::StreamLogsStream>, Status> {
        Err(Status::unimplemented("only commands are measured"))
    }
}
