//! Control plane and gateway over one store, behind one port.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use palisade_control_plane::{ControlPlane, Deletions, RunnerLive};
use palisade_gateway::{Gateway, GatewayConfig, LiveView, SnapshotSettings};
use palisade_model::denial::Denials;
use palisade_model::id::{ProfileId, RunnerUid, SandboxId};
use palisade_model::name::OrganizationId;
use palisade_model::placement::Fleet;
use palisade_model::policy::Surroundings;
use palisade_secrets::SecretSettings;
use palisade_store::Store;
use palisade_wire::rest::{DenialTotals, RunnerObservation, StartQueue};
use tokio::net::TcpListener;
use tracing::info;

use crate::cli::ListenArgs;
use crate::parts::metrics;
use crate::parts::supervisor::Supervisor;
use crate::serve::tls::TlsSettings;
use crate::serve::{Server, Services};
use crate::system::{KernelIds, SystemClock};

/// A platform that answers.
#[derive(Debug)]
pub(crate) struct Platform {
    /// Takes connections; a runner in this process dials it directly.
    pub(crate) server: Server,
    /// Where others reach it.
    pub(crate) url: String,
}

/// What the gateway knows of runners, for the control plane.
#[derive(Debug)]
struct Live(LiveView);

impl RunnerLive for Live {
    fn observe(&self, uid: RunnerUid) -> RunnerObservation {
        self.0.observe(uid)
    }

    fn fleet(&self) -> Fleet {
        self.0.fleet()
    }

    fn surroundings(&self, uid: RunnerUid) -> Option<Surroundings> {
        self.0.surroundings(uid)
    }

    fn denials(&self, organization: &OrganizationId, id: SandboxId) -> Option<Denials> {
        self.0.denials(organization, id)
    }

    fn profile_denials(&self, organization: &OrganizationId, id: ProfileId) -> DenialTotals {
        self.0.profile_denials(organization, id)
    }

    fn waiting(&self, organization: &OrganizationId) -> StartQueue {
        self.0.waiting(organization)
    }
}

/// Puts the platform together, over its store and its secrets, and starts it under
/// `supervisor`.
pub(crate) async fn start(
    (store, secrets): (Arc<dyn Store>, SecretSettings),
    snapshots: SnapshotSettings,
    args: &ListenArgs,
    supervisor: &mut Supervisor,
) -> anyhow::Result<Platform> {
    let tls = tls(args)?;
    let listener = listen(args, tls.is_some()).await?;
    let address = listener.local_addr()?;
    let stop = supervisor.stop_token();

    let (snapshot_limits, mount_bytes_max) = (snapshots.limits, snapshots.mount_bytes_max);
    let gateway = Gateway::new(
        GatewayConfig {
            exec_sessions: args.sessions.limits(),
            snapshots: Some(snapshots),
            secrets: secrets.clone(),
            ..GatewayConfig::default()
        },
        Arc::clone(&store),
        Arc::new(SystemClock),
        Arc::new(KernelIds),
    );
    let live = Arc::new(Live(gateway.live()));
    if let Some(address) = args.metrics_listen {
        let listener = listen_at(address, false, args.allow_plaintext).await?;
        metrics::serve(listener, gateway.live(), supervisor)?;
    }
    let plane = ControlPlane::new(store, live, Arc::new(SystemClock), Arc::new(KernelIds))
        .with_secrets(secrets)
        .with_snapshot_limits(snapshot_limits, mount_bytes_max)
        .ending_with(stop.clone());
    let services = Services {
        rest: palisade_control_plane::router(plane.clone()).merge(gateway.rest()),
        grpc: gateway.router(),
    };
    let server = Server::new(services, stop.clone());

    let scheme = if tls.is_some() { "https" } else { "http" };
    let url = format!("{scheme}://{address}");
    info!(%url, "listening");
    supervisor.spawn("gateway", {
        let stop = stop.clone();
        async move { Ok(gateway.run(stop).await?) }
    });
    supervisor.spawn("deletion of runners", {
        let deletions = Deletions::new(plane);
        async move {
            deletions.run(stop).await;
            Ok(())
        }
    });
    supervisor.spawn("server", {
        let server = server.clone();
        async move {
            server.listen(listener, tls).await;
            Ok(())
        }
    });
    Ok(Platform { server, url })
}

fn tls(args: &ListenArgs) -> anyhow::Result<Option<TlsSettings>> {
    match (&args.tls_cert, &args.tls_key) {
        (Some(certificate), Some(key)) => TlsSettings::load(certificate, key).map(Some),
        (None, None) => Ok(None),
        (Some(_), None) | (None, Some(_)) => bail!("--tls-cert and --tls-key go together"),
    }
}

async fn listen(args: &ListenArgs, has_tls: bool) -> anyhow::Result<TcpListener> {
    listen_at(args.listen, has_tls, args.allow_plaintext).await
}

pub(crate) async fn listen_at(
    address: SocketAddr,
    has_tls: bool,
    is_plaintext_allowed: bool,
) -> anyhow::Result<TcpListener> {
    check_exposure(address, has_tls, is_plaintext_allowed)?;
    TcpListener::bind(address)
        .await
        .with_context(|| format!("could not listen on {address}"))
}

/// Tokens must not travel readable where others may listen.
fn check_exposure(
    address: SocketAddr,
    has_tls: bool,
    is_plaintext_allowed: bool,
) -> anyhow::Result<()> {
    if has_tls || is_plaintext_allowed || address.ip().is_loopback() {
        return Ok(());
    }
    bail!(
        "{address} can be reached from outside, where tokens and figures would travel readable; \
         give --tls-cert and --tls-key, listen on 127.0.0.1, or say --allow-plaintext"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_text_stays_on_loopback_unless_it_is_asked_for() {
        let outside = "0.0.0.0:8700".parse().unwrap();
        let inside = "127.0.0.1:8700".parse().unwrap();
        assert!(check_exposure(outside, false, false).is_err());
        assert!(check_exposure(outside, true, false).is_ok());
        assert!(check_exposure(outside, false, true).is_ok());
        assert!(check_exposure(inside, false, false).is_ok());
    }
}
