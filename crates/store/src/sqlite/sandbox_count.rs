//! How many sandboxes live where, and under what.

use palisade_model::id::{ProfileId, RunnerUid, SandboxId};
use palisade_model::name::OrganizationId;
use sqlx::SqliteConnection;
use sqlx::sqlite::SqliteRow;

use super::{Columns as _, fault};
use crate::error::Fault;
use crate::page::PageSize;
use crate::sandbox::{Occupancy, OccupancyOf};

/// Counted and numbered in one statement, so that both are of one moment. The
/// newest of a part comes first.
const OF_PROFILE: &str = "SELECT * FROM (
        SELECT id, runner_uid, runner_id, profile_id, profile_name,
            count(*) OVER (PARTITION BY runner_uid, profile_id) AS living,
            row_number() OVER (PARTITION BY runner_uid, profile_id ORDER BY id DESC) AS place
        FROM sandboxes WHERE organization = $1 AND profile_id = $2 AND is_over = 0)
    WHERE place <= $3 ORDER BY runner_id, runner_uid, profile_id, place";
const OF_RUNNER: &str = "SELECT * FROM (
        SELECT id, runner_uid, runner_id, profile_id, profile_name,
            count(*) OVER (PARTITION BY runner_uid, profile_id) AS living,
            row_number() OVER (PARTITION BY runner_uid, profile_id ORDER BY id DESC) AS place
        FROM sandboxes WHERE organization = $1 AND runner_uid = $2 AND is_over = 0)
    WHERE place <= $3 ORDER BY runner_id, runner_uid, profile_id, place";

pub(super) async fn occupancy(
    connection: &mut SqliteConnection,
    organization: &OrganizationId,
    of: OccupancyOf,
    named_max: PageSize,
) -> Result<Vec<Occupancy>, Fault> {
    let (sql, key) = match of {
        OccupancyOf::Profile(id) => (OF_PROFILE, id.to_string()),
        OccupancyOf::Runner(uid) => (OF_RUNNER, uid.to_string()),
    };
    let rows = sqlx::query(sql)
        .bind(organization.as_str())
        .bind(key)
        .bind(i64::try_from(named_max.get()).unwrap_or(i64::MAX))
        .fetch_all(connection)
        .await
        .map_err(fault)?;
    let mut parts: Vec<Occupancy> = Vec::new();
    for row in &rows {
        let (runner, profile): (RunnerUid, ProfileId) =
            (row.parsed("runner_uid")?, row.parsed("profile_id")?);
        let id: SandboxId = row.parsed("id")?;
        match parts.last_mut() {
            Some(part) if part.runner_uid == runner && part.profile == profile => {
                part.newest.push(id);
            }
            _ => parts.push(part(row, (runner, profile), id)?),
        }
    }
    Ok(parts)
}

fn part(
    row: &SqliteRow,
    (runner_uid, profile): (RunnerUid, ProfileId),
    newest: SandboxId,
) -> Result<Occupancy, Fault> {
    Ok(Occupancy {
        runner_uid,
        runner_id: row.parsed("runner_id")?,
        profile,
        profile_name: row.parsed("profile_name")?,
        count: row.number("living")?.unsigned_abs(),
        newest: vec![newest],
    })
}
