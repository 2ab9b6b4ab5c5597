//! A cluster as a runner: backend, Lease, and the link to a gateway.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use palisade_backend_kube::settings::{Enforcement, Settings};
use palisade_backend_kube::{Cluster, KubeBackend, Lease};
use palisade_model::clock::Ids as _;
use palisade_runner::{Dial, Runner, RunnerConfig};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::cli::{EnforcementArg, KubeArgs};
use crate::parts::metrics::Figures;
use crate::parts::supervisor::Supervisor;
use crate::system::{KernelIds, SystemClock};

/// Starts the runner under `supervisor`; it joins with `join_token`.
pub(crate) async fn start(
    args: &KubeArgs,
    join_token: String,
    dial: Dial,
    supervisor: &mut Supervisor,
) -> anyhow::Result<Figures> {
    let cluster = Cluster::find(args.kubeconfig.as_deref(), args.kube_context.as_deref()).await?;
    let settings = settings(args)?;
    let instance_id = KernelIds.uuid().to_string();
    let clock = Arc::new(SystemClock);
    let lease = Lease::take(&cluster, &settings.instance, &instance_id, clock.clone()).await?;
    let stop = supervisor.stop_token();
    let backend = KubeBackend::open(&cluster, settings, clock.clone()).await?;
    let runner = Runner::new(
        RunnerConfig {
            join_token,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            instance_id,
        },
        backend.clone(),
        backend.clone(),
        clock,
    );
    // The Lease is given back once nothing acts on the cluster any more.
    let idle = CancellationToken::new();
    supervisor.spawn("lease of the runner", {
        let idle = idle.clone();
        async move { Ok(lease.keep(idle).await?) }
    });
    let figures = Figures {
        refusals: runner.refusals(),
        backend: backend.clone(),
    };
    supervisor.spawn("runner", async move {
        let ended = runner.run(dial, stop).await;
        backend.close().await;
        idle.cancel();
        Ok(ended?)
    });
    Ok(figures)
}

fn settings(args: &KubeArgs) -> anyhow::Result<Settings> {
    palisade_model::label::check_label_value(&args.kube_instance).context("--kube-instance")?;
    let enforcement = match args.network_enforcement {
        EnforcementArg::Required => Enforcement::Required,
        EnforcementArg::Trusted => Enforcement::Trusted,
        EnforcementArg::AcceptNone => {
            warn!("sandboxes are taken on although nothing may hold them back on the network");
            Enforcement::AcceptNone
        }
    };
    Ok(Settings {
        instance: args.kube_instance.clone(),
        instance_type_label: args.instance_type_label.clone(),
        gpu_resource: args.gpu_resource.clone(),
        gpu_type_label: args.gpu_type_label.clone(),
        cluster_ranges: args.cluster_ranges.clone(),
        secrets_namespace: args
            .cluster_secrets_namespace
            .as_ref()
            .map(ToString::to_string),
        enforcement,
        probe_image: args.probe_image.clone(),
        program_image: args.program_image.clone(),
        namespace_idle: (args.namespace_idle_seconds > 0)
            .then(|| Duration::from_secs(args.namespace_idle_seconds)),
        ..Settings::default()
    })
}
