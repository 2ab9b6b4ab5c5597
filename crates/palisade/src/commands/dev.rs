//! `palisade dev`: the whole platform in one process, and how to use it.

use crate::cli::DevArgs;
use crate::out::Out;
use crate::parts::bootstrap::{self, ADMIN_TOKEN, CLUSTER, ORGANIZATION, USER_TOKEN};
use crate::parts::supervisor::Supervisor;
use crate::parts::{platform, runner, secrets, snapshots, store};
use crate::serve::local;
use crate::state_dir::StateDir;

/// Runs until somebody asks it to end.
pub(super) async fn run(args: DevArgs, out: &mut Out) -> anyhow::Result<()> {
    let state = StateDir::open(&args.host.state.state_dir)?;
    let _claim = state.claim()?;
    let store = store::open_in(&state).await?;
    let join_token = bootstrap::prepare(&*store, &state).await?;
    let snapshots = snapshots::open(&args.snapshots, &state).await?;
    let mut supervisor = Supervisor::new();
    let secrets = secrets::settings(&args.secrets, &state, &store).await?;
    let platform =
        platform::start((store, secrets), snapshots, &args.listen, &mut supervisor).await?;
    let dial = local::dial(platform.server);
    // Its figures are in those of the gateway.
    let _ = runner::start(&args.host, join_token, dial, &mut supervisor).await?;
    greet(&platform.url, &state, out);
    supervisor.run().await
}

/// Says where everything is. The first line is for scripts, too.
fn greet(url: &str, state: &StateDir, out: &mut Out) {
    let admin = state.token(ADMIN_TOKEN).display().to_string();
    let user = state.token(USER_TOKEN).display().to_string();
    out.line(format_args!("listening on {url}"));
    out.line(format_args!(
        "organization {ORGANIZATION:?}; this machine is the cluster {CLUSTER:?}\n\n\
         administrators:  cwic auth login - --server {url} < {admin}\n\
         users:           export CWSANDBOX_BASE_URL={url} CWSANDBOX_API_KEY=$(cat {user})\n"
    ));
}
