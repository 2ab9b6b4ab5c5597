//! `cwic sandbox get`: one sandbox, or those that live.

use palisade_client::{Client, SandboxFilter, Sandboxes};
use palisade_wire::rest::ChangedKind;

use super::list;
use crate::cli::GetSandboxArgs;
use crate::commands::Ended;
use crate::commands::sandbox::failure::failed;
use crate::listing::{Feed, Listing};
use crate::out::Out;
use crate::present::sandbox::{COLUMNS, whole};

/// Shows it in the format that was asked for.
pub(super) async fn run(
    args: &GetSandboxArgs,
    (client, sandboxes): (&Client, &Sandboxes),
    out: &mut Out,
) -> Ended {
    let fetch = async || {
        let Some(id) = &args.id else {
            return list::fetch(sandboxes, &SandboxFilter::default()).await;
        };
        let seen = sandboxes.get(id).await;
        let seen = seen.map_err(|error| failed(&format!("sandbox {id} was not found"), &error))?;
        Ok(vec![whole(&seen)])
    };
    let listing = Listing {
        columns: &COLUMNS,
        is_single: args.id.is_some(),
        args: &args.list,
    };
    let feed = Feed::of(&[ChangedKind::Sandbox], client);
    listing.run(fetch, feed, out).await
}
