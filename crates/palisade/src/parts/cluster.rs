//! A cluster as a runner: backend, Lease, and the link to a gateway.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use palisade_backend_kube::settings::{
    DirectExec, Enforcement, NoDirectExec, RunnerPods, Settings,
};
use palisade_backend_kube::{Cluster, KubeBackend, Lease};
use palisade_model::clock::Ids as _;
use palisade_runner::{Dial, Runner, RunnerConfig};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::cli::{DirectArgs, EnforcementArg, KubeArgs};
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
    // In a cluster of others, no pod of this one is known.
    let own_namespace = args.kubeconfig.is_none().then(|| cluster.namespace());
    let settings = settings(args, own_namespace)?;
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
            home_id: lease.home_id(),
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

fn settings(args: &KubeArgs, own_namespace: Option<&str>) -> anyhow::Result<Settings> {
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
        direct_exec: direct_exec(args, own_namespace).context("--direct-exec")?,
        namespace_idle: (args.namespace_idle_seconds > 0)
            .then(|| Duration::from_secs(args.namespace_idle_seconds)),
        ..Settings::default()
    })
}

/// How sandboxes are reached directly, if that is wanted.
fn direct_exec(
    args: &KubeArgs,
    own_namespace: Option<&str>,
) -> Result<Option<DirectExec>, NoDirectExec> {
    let DirectArgs {
        is_wanted,
        port,
        labels,
        from,
    } = &args.direct;
    if !is_wanted {
        return Ok(None);
    }
    if args.program_image.is_none() {
        return Err(NoDirectExec::NoProgram);
    }
    let pods = own_namespace.map(|namespace| RunnerPods {
        namespace: namespace.to_owned(),
        labels: labels.iter().cloned().collect(),
    });
    DirectExec::new(*port, pods, from.clone()).map(Some)
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[derive(Debug, clap::Parser)]
    struct Line {
        #[command(flatten)]
        kube: KubeArgs,
    }

    fn of(words: &[&str], own_namespace: Option<&str>) -> Result<Option<DirectExec>, NoDirectExec> {
        let words = ["palisade"].iter().chain(words);
        let line = Line::try_parse_from(words).expect("the tests use options that there are");
        direct_exec(&line.kube, own_namespace)
    }

    const WANTED: [&str; 3] = ["--direct-exec", "--program-image", "palisade:1"];

    #[test]
    fn sandboxes_are_reached_through_the_server_unless_something_else_is_said() {
        assert_eq!(of(&[], Some("palisade")), Ok(None));
        let labels = [
            "--direct-exec-label",
            "a=b",
            "--direct-exec-from",
            "192.0.2.1/32",
        ];
        assert_eq!(of(&labels, Some("palisade")), Ok(None));
    }

    #[test]
    fn what_is_missing_for_direct_exec_is_told() {
        let bare = of(
            &["--direct-exec", "--direct-exec-from", "192.0.2.1/32"],
            None,
        );
        assert_eq!(bare, Err(NoDirectExec::NoProgram));
        assert_eq!(of(&WANTED, Some("palisade")), Err(NoDirectExec::NoCallers));
        // Labels mean nothing in a cluster in which this runner has no pod.
        let labelled = [&WANTED[..], &["--direct-exec-label", "a=b"]].concat();
        assert_eq!(of(&labelled, None), Err(NoDirectExec::NoCallers));
    }

    #[test]
    fn a_runner_is_its_pod_or_where_its_connections_come_from() {
        let labelled = [&WANTED[..], &["--direct-exec-label", "a/b=c,d=e"]].concat();
        let direct = of(&labelled, Some("ours")).unwrap().unwrap();
        let pods = direct.pods().unwrap();
        assert_eq!(pods.namespace, "ours");
        assert_eq!(pods.labels.len(), 2);
        assert_eq!(direct.port(), DirectExec::PORT);
        let outside = [
            "--direct-exec-from",
            "192.0.2.1/32",
            "--direct-exec-port",
            "9999",
        ];
        let outside = [&WANTED[..], &outside].concat();
        let direct = of(&outside, None).unwrap().unwrap();
        assert_eq!((direct.ranges().len(), direct.port().get()), (1, 9999));
    }
}
