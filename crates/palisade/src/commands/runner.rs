//! `palisade runner`: this machine, or a cluster, as the runner of a gateway elsewhere.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use futures_util::FutureExt as _;
use palisade_runner::Dial;
use palisade_wire::http2::as_much_both_ways;
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint};

use crate::cli::{BackendArg, RunnerArgs};
use crate::parts::supervisor::Supervisor;
use crate::parts::{cluster, metrics, platform, runner};
use crate::state_dir::read_secret;

/// How long a connection may take to come about.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// A gateway that is silent for so long is asked whether it lives.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
const KEEP_ALIVE_LIMIT: Duration = Duration::from_secs(10);

/// Runs until somebody asks it to end.
pub(super) async fn run(args: RunnerArgs) -> anyhow::Result<()> {
    let path = &args.join_token_file;
    let Some(token) = read_secret(path)? else {
        bail!("there is no join token in {}", path.display());
    };
    let endpoint = endpoint(&args.gateway, args.gateway_ca.as_deref())?;
    let dial: Dial = Arc::new(move || {
        let endpoint = endpoint.clone();
        async move { Ok(endpoint.connect().await?.into()) }.boxed()
    });
    let mut supervisor = Supervisor::new();
    // Before anything is made that would have to be taken away again.
    let listener = match args.metrics_listen {
        Some(address) => Some(platform::listen_at(address, false, args.allow_plaintext).await?),
        None => None,
    };
    let figures = match args.backend {
        BackendArg::Linux => runner::start(&args.host, token, dial, &mut supervisor).await?,
        BackendArg::Kube => cluster::start(&args.kube, token, dial, &mut supervisor).await?,
    };
    if let Some(listener) = listener {
        metrics::serve_runner(listener, figures, &mut supervisor)?;
    }
    supervisor.run().await
}

fn endpoint(gateway: &str, authority: Option<&Path>) -> anyhow::Result<Endpoint> {
    let endpoint = Endpoint::from_shared(gateway.to_owned())
        .with_context(|| format!("{gateway:?} is not the URL of a gateway"))?
        .connect_timeout(CONNECT_LIMIT)
        .http2_keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(KEEP_ALIVE_LIMIT)
        .keep_alive_while_idle(true);
    let endpoint = as_much_both_ways(endpoint);
    if !gateway.starts_with("https://") {
        return Ok(endpoint);
    }
    let mut tls = ClientTlsConfig::new().with_enabled_roots();
    if let Some(path) = authority {
        let pem =
            std::fs::read(path).with_context(|| format!("could not read {}", path.display()))?;
        tls = tls.ca_certificate(Certificate::from_pem(pem));
    }
    Ok(endpoint.tls_config(tls)?)
}
