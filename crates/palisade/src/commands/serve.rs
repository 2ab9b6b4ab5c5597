//! `palisade serve`: control plane and gateway, for runners elsewhere.

use crate::cli::ServeArgs;
use crate::out::Out;
use crate::parts::supervisor::Supervisor;
use crate::parts::{platform, secrets, snapshots, store};
use crate::state_dir::StateDir;

/// Runs until somebody asks it to end.
pub(super) async fn run(args: ServeArgs, out: &mut Out) -> anyhow::Result<()> {
    let state = StateDir::open(&args.state.state_dir)?;
    let _claim = state.claim()?;
    let store = store::open_in(&state).await?;
    let snapshots = snapshots::open(&args.snapshots, &state).await?;
    let mut supervisor = Supervisor::new();
    let secrets = secrets::settings(&args.secrets, &state, &store).await?;
    let platform =
        platform::start((store, secrets), snapshots, &args.listen, &mut supervisor).await?;
    out.line(format_args!("listening on {}", platform.url));
    supervisor.run().await
}
