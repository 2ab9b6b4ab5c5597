//! What `describe` tells of a profile beside what it says: what lives under it,
//! how it came about, and what it is advised against.

use palisade_client::Client;
use palisade_wire::rest::ProfileTemplate;

use super::revisions;
use crate::commands::{advice, living};
use crate::error::CliError;
use crate::out::Out;
use crate::present;

/// How many revisions are told.
const REVISIONS_MAX: usize = 5;

/// Tells all three.
pub(super) async fn describe(
    profile: &ProfileTemplate,
    client: &Client,
    out: &mut Out,
) -> Result<(), CliError> {
    let usage = client.profile_usage(&profile.id).await;
    let usage = usage.map_err(|error| CliError::call("live sandboxes were not counted", &error))?;
    living::tell(&usage, out);
    out.line("\nRecent revisions:");
    let mut rows = revisions::rows(&profile.id, REVISIONS_MAX, client).await?;
    for row in &mut rows {
        row[0] = format!("  {}", row[0]);
    }
    out.table(["  REVISION", "WRITTEN", "BY", "CHANGED"], &rows);
    let findings = advice::findings(&present::json(profile));
    let worth = findings.iter().filter(|it| advice::is_worth_telling(it));
    let worth = worth.collect::<Vec<_>>();
    if !worth.is_empty() {
        out.line("\nWarnings:");
        for finding in worth {
            out.line(format_args!("  {}", advice::line(finding)));
        }
    }
    Ok(())
}
