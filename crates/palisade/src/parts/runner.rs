//! This machine as a runner: backend, resolver, and the link to a gateway.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use palisade_backend_linux::dns::{self, Resolver, Upstreams};
use palisade_backend_linux::network::{self, Instance, Pool4, Pool6, PoolChoice};
use palisade_backend_linux::{Handler, HandlerKind, LinuxBackend, LinuxConfig};
use palisade_model::clock::Ids as _;
use palisade_model::name::RuntimeClass;
use palisade_runner::{Dial, GatewaySnapshots, Runner, RunnerConfig};
use tracing::warn;

use crate::cli::HostArgs;
use crate::parts::metrics::Figures;
use crate::parts::supervisor::Supervisor;
use crate::parts::{images, ingress};
use crate::state_dir::StateDir;
use crate::system::{KernelIds, SystemClock};

/// The port of DNS.
const DNS_PORT: u16 = 53;

/// What is to be gone after a reboot lives below this directory.
const RUN_DIRECTORY: &str = "/run/palisade";

/// Starts the runner under `supervisor`; it joins with `join_token`.
pub(crate) async fn start(
    args: &HostArgs,
    join_token: String,
    dial: Dial,
    supervisor: &mut Supervisor,
) -> anyhow::Result<Figures> {
    let snapshots = GatewaySnapshots::default();
    let home_id = StateDir::open(&args.state.state_dir)?.home_id();
    let home_id = home_id.unwrap_or_else(|error| {
        // On a full disk, the runner is needed all the more.
        warn!(
            error = format!("{error:#}"),
            "the gateway is not told where sandboxes are kept"
        );
        String::new()
    });
    let mut settings = config(args).await?;
    settings.snapshots = Some(Arc::new(snapshots.clone()));
    let backend = LinuxBackend::open(settings)
        .await
        .context("this machine cannot run sandboxes as it is; palisade doctor says more")?;
    let resolver = open_resolver(&backend, args).await?;
    let stop = supervisor.stop_token();
    supervisor.spawn("resolver", {
        let stop = stop.clone();
        async move { Ok(resolver.run(stop).await?) }
    });
    let repairs = network::upkeep(Arc::clone(&backend), LinuxBackend::network, stop.clone());
    supervisor.spawn("upkeep of the network", async move {
        repairs.await;
        Ok(())
    });
    supervisor.spawn("HTTP entry point", {
        let (backend, stop) = (Arc::clone(&backend), stop.clone());
        async move {
            backend.serve_http().await?;
            // Where there is none, there is nothing to do until the end.
            stop.cancelled().await;
            Ok(())
        }
    });
    let config = RunnerConfig {
        join_token,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        instance_id: KernelIds.uuid().to_string(),
        home_id,
    };
    let runner = Runner::new(
        config,
        backend.clone(),
        backend.clone(),
        Arc::new(SystemClock),
    )
    .with_snapshots(snapshots);
    let figures = Figures {
        refusals: runner.refusals(),
        backend: backend.clone(),
    };
    supervisor.spawn("runner", async move {
        let ended = runner.run(dial, stop).await;
        backend.close().await;
        Ok(ended?)
    });
    Ok(figures)
}

async fn open_resolver(backend: &Arc<LinuxBackend>, args: &HostArgs) -> anyhow::Result<Resolver> {
    let mut config = dns::Config::default();
    if !args.dns_upstreams.is_empty() {
        let servers = args.dns_upstreams.iter();
        let servers = servers.map(|ip| SocketAddr::new(*ip, DNS_PORT)).collect();
        config.upstreams = Upstreams::Fixed(servers);
    }
    let backend = Arc::clone(backend);
    let opening = tokio::task::spawn_blocking(move || Resolver::open(backend.network(), config));
    opening
        .await?
        .context("could not open the resolver of the sandboxes")
}

/// The settings of the backend.
async fn config(args: &HostArgs) -> anyhow::Result<LinuxConfig> {
    let state = StateDir::open(&args.state.state_dir)?;
    let images = images::open(&args.state, &args.registry).await?;
    // Two platforms on one machine differ in where they keep their state.
    let instance = Instance::derive(&state.path().to_string_lossy());
    let mut network = network::Config::new(instance, PathBuf::from(RUN_DIRECTORY));
    if let Some(range) = args.pool4 {
        network.pool4 = PoolChoice::Fixed(Pool4::new(range).context("--pool4")?);
    }
    if let Some(range) = args.pool6 {
        network.pool6 = PoolChoice::Fixed(Pool6::new(range).context("--pool6")?);
    }
    let mut config = LinuxConfig::new(state.sandboxes(), network, images, Arc::new(SystemClock));
    for class in &args.runtime_classes {
        let (name, handler) = runtime_class(class)?;
        config.handlers.insert(name, handler);
    }
    if let Some(class) = &args.default_runtime_class {
        config.default_class = class.clone();
    }
    if let Some(most) = args.sandboxes_max {
        config.sandboxes_max = most;
    }
    ingress::configure(&mut config, &args.ingress)?;
    config.node_labels = node_labels(&args.node_labels)?;
    if let Some(directory) = &args.runner_secrets {
        if !directory.is_dir() {
            bail!("--runner-secrets {} is no directory", directory.display());
        }
        config.own_secrets = Some(directory.clone());
    }
    Ok(config)
}

/// Reads `NAME=PATH`; the program says by its name which runtime it is.
fn runtime_class(text: &str) -> anyhow::Result<(RuntimeClass, Handler)> {
    let Some((name, path)) = text.split_once('=') else {
        bail!("the runtime class {text:?} must read NAME=PATH, such as fast=/usr/bin/crun");
    };
    let name = name
        .parse()
        .with_context(|| format!("the runtime class {name:?}"))?;
    let path = PathBuf::from(path);
    let program = path.file_name().unwrap_or_default().to_string_lossy();
    let kind = HandlerKind::ALL
        .into_iter()
        .find(|kind| program.starts_with(kind.as_str()));
    let Some(kind) = kind else {
        let known = HandlerKind::ALL.map(HandlerKind::as_str).join(", ");
        bail!(
            "{} is no runtime that is known here; known are {known}",
            path.display()
        );
    };
    let arguments = Vec::new();
    Ok((
        name,
        Handler {
            kind,
            path,
            arguments,
        },
    ))
}

fn node_labels(texts: &[String]) -> anyhow::Result<BTreeMap<String, String>> {
    let pair = |text: &String| match text.split_once('=') {
        Some((key, value)) => Ok((key.to_owned(), value.to_owned())),
        None => bail!("the node label {text:?} must read KEY=VALUE"),
    };
    texts.iter().map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_runtime_class_is_a_name_and_a_known_program() {
        let (name, handler) = runtime_class("slow=/opt/bin/runc").unwrap();
        assert_eq!(name.as_str(), "slow");
        assert_eq!(handler.kind, HandlerKind::Runc);
        for text in [
            "slow",
            "slow=/bin/sh",
            "Not A Name=/usr/bin/crun",
            "=/usr/bin/crun",
        ] {
            assert!(runtime_class(text).is_err(), "{text}");
        }
    }

    #[test]
    fn node_labels_are_pairs() {
        let labels = node_labels(&["gpu=h100".to_owned(), "empty=".to_owned()]).unwrap();
        assert_eq!(labels["gpu"], "h100");
        assert_eq!(labels["empty"], "");
        assert!(node_labels(&["gpu".to_owned()]).is_err());
    }
}
