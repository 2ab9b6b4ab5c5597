//! A client of the gateway, as thin as it can be: what is measured is the
//! platform.

use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use futures_util::Stream;
use palisade_wire::proto::v1beta2 as pb;
use palisade_wire::proto::v1beta2::exec_stream_request::Request as Input;
use palisade_wire::proto::v1beta2::exec_stream_response::Response as Output;
use palisade_wire::proto::v1beta2::gateway_service_client::GatewayServiceClient;
use palisade_wire::proto::v1beta2::gateway_streaming_service_client::GatewayStreamingServiceClient;
use tokio::time;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Streaming};

use crate::pattern::Pattern;

/// Input is sent in frames of this size, as the SDK sends it.
const FRAME_BYTES: usize = 64 * 1024;
/// The longest wait for a sandbox.
const PATIENCE: Duration = Duration::from_mins(1);

/// Calls one gateway. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    channel: Channel,
    bearer: MetadataValue<Ascii>,
}

impl Client {
    /// Connects.
    pub(crate) async fn connect(url: &str, token: &str) -> anyhow::Result<Self> {
        let channel = Endpoint::from_shared(url.to_owned())?
            .tcp_nodelay(true)
            .connect()
            .await?;
        let bearer = format!("Bearer {token}").parse()?;
        Ok(Self { channel, bearer })
    }

    /// Starts a sandbox; returns its id once that is acknowledged.
    pub(crate) async fn start(&self) -> anyhow::Result<String> {
        let request = pb::StartSandboxRequest {
            command: "sleep".to_owned(),
            args: vec!["infinity".to_owned()],
            container_image: "python:3.11".to_owned(),
            ..Default::default()
        };
        let answer = self.gateway().start(self.request(request)).await?;
        Ok(answer.into_inner().sandbox_id)
    }

    /// Waits until the sandbox runs, and looks this often.
    pub(crate) async fn running(&self, id: &str, look: Duration) -> anyhow::Result<()> {
        time::timeout(PATIENCE, async {
            while !self.is_running(id).await? {
                time::sleep(look).await;
            }
            Ok(())
        })
        .await?
    }

    async fn is_running(&self, id: &str) -> anyhow::Result<bool> {
        let request = pb::GetSandboxRequest {
            sandbox_id: id.to_owned(),
            ..Default::default()
        };
        let seen = self
            .gateway()
            .get(self.request(request))
            .await?
            .into_inner();
        let status = seen.sandbox_status();
        let is_starting =
            [pb::SandboxStatus::Creating, pb::SandboxStatus::Pending].contains(&status);
        if status != pb::SandboxStatus::Running && !is_starting {
            bail!("the sandbox is {status:?}: {}", seen.status_reason);
        }
        Ok(!is_starting)
    }

    /// Runs a command to its end; returns what it wrote.
    pub(crate) async fn exec(&self, id: &str, command: &[&str]) -> anyhow::Result<Vec<u8>> {
        let mut written = Vec::new();
        let inputs = tokio_stream::iter([init(id, command)]);
        self.outputs(inputs, |data| {
            written.extend_from_slice(data);
            Ok(())
        })
        .await?;
        Ok(written)
    }

    /// Runs a command to its end and shows what it writes.
    async fn outputs(
        &self,
        inputs: impl Stream<Item = pb::ExecStreamRequest> + Send + 'static,
        mut look: impl FnMut(&[u8]) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let mut client = GatewayStreamingServiceClient::new(self.channel.clone());
        let mut answers = client.stream_exec(self.request(inputs)).await?.into_inner();
        while let Some(answer) = answers.message().await? {
            match answer.response.context("an empty answer")? {
                Output::Ready(_) => {}
                Output::Output(output) => look(&output.data)?,
                Output::Exit(exit) if exit.exit_code == 0 => return Ok(()),
                Output::Exit(exit) => bail!("the command ended with {}", exit.exit_code),
                Output::Error(error) => bail!("the command failed: {}", error.message),
            }
        }
        bail!("the stream ended without an exit")
    }

    /// Reads the output of a command that writes so many bytes.
    pub(crate) async fn drain(&self, id: &str, command: &[&str], bytes: u64) -> anyhow::Result<()> {
        let mut seen = 0;
        let inputs = tokio_stream::iter([init(id, command)]);
        self.outputs(inputs, |data| {
            seen += data.len() as u64;
            Ok(())
        })
        .await?;
        ensure!(seen >= bytes, "{seen} of {bytes} bytes came");
        Ok(())
    }

    /// Sends so many bytes through `cat` and compares what comes back.
    pub(crate) async fn there_and_back(
        &self,
        id: &str,
        pattern: Pattern,
        bytes: u64,
    ) -> anyhow::Result<()> {
        let sent = pattern.clone();
        let stdin = (0..bytes).step_by(FRAME_BYTES).map(move |place| {
            let size = usize::try_from(bytes - place).unwrap_or(usize::MAX);
            let data = sent.bytes(place, size.min(FRAME_BYTES)).into();
            frame(Input::Stdin(pb::ExecStreamData { data }))
        });
        let inputs = tokio_stream::iter([init(id, &["cat"])].into_iter().chain(stdin));
        let mut seen = 0;
        self.outputs(inputs, |data| {
            pattern.check(seen, data)?;
            seen += data.len() as u64;
            Ok(())
        })
        .await?;
        ensure!(seen == bytes, "{seen} of {bytes} bytes came back");
        Ok(())
    }

    /// Writes a file by one call.
    pub(crate) async fn write_file(
        &self,
        id: &str,
        path: &str,
        content: Vec<u8>,
    ) -> anyhow::Result<()> {
        let request = pb::AddFileSandboxRequest {
            sandbox_id: id.to_owned(),
            filepath: path.to_owned(),
            file_contents: content.into(),
            ..Default::default()
        };
        let mut client = self.gateway().max_encoding_message_size(usize::MAX);
        client.add_file(self.request(request)).await?;
        Ok(())
    }

    /// Follows the log of a sandbox for as long as the stream is held.
    pub(crate) async fn follow(
        &self,
        id: &str,
    ) -> anyhow::Result<Streaming<pb::LogStreamResponse>> {
        let init = pb::LogStreamInit {
            sandbox_id: id.to_owned(),
            follow: true,
            ..Default::default()
        };
        let request = Some(pb::log_stream_request::Request::Init(init));
        let inputs = tokio_stream::iter([pb::LogStreamRequest { request }]);
        let mut client = GatewayStreamingServiceClient::new(self.channel.clone());
        Ok(client.stream_logs(self.request(inputs)).await?.into_inner())
    }

    /// Removes a sandbox.
    pub(crate) async fn delete(&self, id: &str) -> anyhow::Result<()> {
        let request = pb::DeleteSandboxRequest {
            sandbox_id: id.to_owned(),
            ..Default::default()
        };
        self.gateway().delete(self.request(request)).await?;
        Ok(())
    }

    fn gateway(&self) -> GatewayServiceClient<Channel> {
        GatewayServiceClient::new(self.channel.clone())
    }

    fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        request
            .metadata_mut()
            .insert("authorization", self.bearer.clone());
        request
    }
}

fn init(id: &str, command: &[&str]) -> pb::ExecStreamRequest {
    frame(Input::Init(pb::ExecStreamInit {
        sandbox_id: id.to_owned(),
        command: command.iter().map(|word| (*word).to_owned()).collect(),
        ..Default::default()
    }))
}

fn frame(request: Input) -> pb::ExecStreamRequest {
    let request = Some(request);
    pb::ExecStreamRequest { request }
}
