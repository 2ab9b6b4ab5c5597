//! A client of the gateway, as thin as it can be: what is measured is the
//! platform.

use std::time::Duration;

use anyhow::{Context as _, bail};
use palisade_wire::proto::v1beta2 as pb;
use palisade_wire::proto::v1beta2::exec_stream_request::Request as Input;
use palisade_wire::proto::v1beta2::exec_stream_response::Response as Output;
use palisade_wire::proto::v1beta2::gateway_service_client::GatewayServiceClient;
use palisade_wire::proto::v1beta2::gateway_streaming_service_client::GatewayStreamingServiceClient;
use tokio::time;
use tonic::Request;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Channel, Endpoint};

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
        let init = pb::ExecStreamInit {
            sandbox_id: id.to_owned(),
            command: command.iter().map(|word| (*word).to_owned()).collect(),
            ..Default::default()
        };
        let inputs = tokio_stream::iter([pb::ExecStreamRequest {
            request: Some(Input::Init(init)),
        }]);
        let mut client = GatewayStreamingServiceClient::new(self.channel.clone());
        let mut answers = client.stream_exec(self.request(inputs)).await?.into_inner();
        let mut written = Vec::new();
        while let Some(answer) = answers.message().await? {
            match answer.response.context("an empty answer")? {
                Output::Ready(_) => {}
                Output::Output(output) => written.extend_from_slice(&output.data),
                Output::Exit(exit) if exit.exit_code == 0 => return Ok(written),
                Output::Exit(exit) => bail!("the command ended with {}", exit.exit_code),
                Output::Error(error) => bail!("the command failed: {}", error.message),
            }
        }
        bail!("the stream ended without an exit")
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
