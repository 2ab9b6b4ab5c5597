//! Profiles, as they are written. Every function is a part of one transaction.

use palisade_model::id::ProfileId;
use palisade_model::name::{DisplayName, OrganizationId, RunnerId};
use palisade_model::profile::{Profile, Revision};

use super::profile::get;
use super::transaction::Write;
use super::{Columns as _, fault, organization};
use crate::change::Subject;
use crate::error::Fault;
use crate::form::{write_labels, write_spec};
use crate::profile::{
    CreateError, DeleteError, JudgedRunner, NewProfile, ProfileUpdate, UpdateError,
};
use crate::store::Stamp;

const HOLDER: &str = "SELECT id FROM profiles WHERE organization = $1 AND display_name = $2";
/// Revisions stay, so that an id is taken by a deleted profile too.
const USED: &str = "SELECT 1 FROM profile_revisions WHERE id = $1 LIMIT 1";
const INSERT: &str = "INSERT INTO profiles (id, organization, display_name, description, labels,
        spec, revision, created_at, updated_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
const UPDATE: &str = "UPDATE profiles
    SET description = $3, labels = $4, spec = $5, revision = $6, updated_at = $7
    WHERE organization = $1 AND id = $2";
const KEEP: &str = "INSERT INTO profile_revisions (organization, id, revision, display_name,
        description, labels, spec, written_by, written_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
const BOUND_BY: &str = "SELECT runners.id FROM bound_profiles
    JOIN runners ON runners.uid = bound_profiles.runner
    WHERE bound_profiles.profile = $1 ORDER BY runners.id";
const BINDERS: &str = "SELECT runners.uid, runners.revision FROM bound_profiles
    JOIN runners ON runners.uid = bound_profiles.runner
    WHERE bound_profiles.profile = $1";
const DELETE: &str = "DELETE FROM profiles WHERE organization = $1 AND id = $2";

pub(super) async fn create(
    write: &mut Write,
    organization: &OrganizationId,
    profile: NewProfile,
    stamp: Stamp,
) -> Result<Profile, CreateError> {
    let NewProfile {
        id,
        display_name,
        description,
        labels,
        spec,
    } = profile;
    if !organization::exists(write.connection(), organization).await? {
        return Err(CreateError::NoOrganization);
    }
    if let Some(by) = holder(write, organization, &display_name).await? {
        return Err(CreateError::NameTaken { by });
    }
    if is_used(write, id).await? {
        return Err(CreateError::IdTaken);
    }
    let profile = Profile {
        id,
        organization: organization.clone(),
        display_name,
        description,
        labels,
        spec,
        revision: Revision::FIRST,
        created_at: stamp.at,
        updated_at: stamp.at,
    };
    insert(write, &profile).await?;
    keep(write, &profile, &stamp).await?;
    write.changed(organization, Subject::Profile(id));
    Ok(profile)
}

pub(super) async fn update(
    write: &mut Write,
    (organization, id): (&OrganizationId, ProfileId),
    update: ProfileUpdate,
    stamp: Stamp,
) -> Result<Profile, UpdateError> {
    let ProfileUpdate {
        expected,
        description,
        labels,
        spec,
        judged,
    } = update;
    let present = get(write.connection(), organization, id).await?;
    let present = present.ok_or(UpdateError::NotFound)?;
    let current = present.revision;
    if expected.is_some_and(|expected| expected != current) {
        return Err(UpdateError::RevisionMismatch { current });
    }
    if let Some(judged) = judged
        && !is_bound_by(write, id, judged).await?
    {
        return Err(UpdateError::RunnersMoved);
    }
    let profile = Profile {
        description: description.unwrap_or(present.description),
        labels: labels.unwrap_or(present.labels),
        spec: spec.unwrap_or(present.spec),
        revision: current.next(),
        updated_at: stamp.at,
        ..present
    };
    overwrite(write, &profile).await?;
    keep(write, &profile, &stamp).await?;
    write.changed(organization, Subject::Profile(id));
    Ok(profile)
}

pub(super) async fn delete(
    write: &mut Write,
    organization: &OrganizationId,
    id: ProfileId,
    expected: Option<Revision>,
) -> Result<(), DeleteError> {
    let present = get(write.connection(), organization, id).await?;
    let current = present.ok_or(DeleteError::NotFound)?.revision;
    if expected.is_some_and(|expected| expected != current) {
        return Err(DeleteError::RevisionMismatch { current });
    }
    let runners = bound_by(write, id).await?;
    if !runners.is_empty() {
        return Err(DeleteError::Bound { runners });
    }
    sqlx::query(DELETE)
        .bind(organization.as_str())
        .bind(id.to_string())
        .execute(write.connection())
        .await
        .map_err(fault)?;
    write.changed(organization, Subject::Profile(id));
    Ok(())
}

async fn holder(
    write: &mut Write,
    organization: &OrganizationId,
    name: &DisplayName,
) -> Result<Option<ProfileId>, Fault> {
    let row = sqlx::query(HOLDER)
        .bind(organization.as_str())
        .bind(name.as_str())
        .fetch_optional(write.connection())
        .await
        .map_err(fault)?;
    row.map(|row| row.parsed("id")).transpose()
}

async fn is_used(write: &mut Write, id: ProfileId) -> Result<bool, Fault> {
    let query = sqlx::query(USED).bind(id.to_string());
    let row = query.fetch_optional(write.connection()).await;
    Ok(row.map_err(fault)?.is_some())
}

async fn insert(write: &mut Write, profile: &Profile) -> Result<(), Fault> {
    let Profile {
        id,
        organization,
        display_name,
        description,
        labels,
        spec,
        revision,
        created_at,
        updated_at,
    } = profile;
    let done = sqlx::query(INSERT)
        .bind(id.to_string())
        .bind(organization.as_str())
        .bind(display_name.as_str())
        .bind(description)
        .bind(write_labels(labels))
        .bind(write_spec(spec))
        .bind(i64::from(revision.0))
        .bind(created_at.as_micros())
        .bind(updated_at.as_micros())
        .execute(write.connection())
        .await;
    done.map(|_| ()).map_err(fault)
}

/// Writes all that can change.
async fn overwrite(write: &mut Write, profile: &Profile) -> Result<(), Fault> {
    let Profile {
        id,
        organization,
        display_name: _,
        description,
        labels,
        spec,
        revision,
        created_at: _,
        updated_at,
    } = profile;
    let done = sqlx::query(UPDATE)
        .bind(organization.as_str())
        .bind(id.to_string())
        .bind(description)
        .bind(write_labels(labels))
        .bind(write_spec(spec))
        .bind(i64::from(revision.0))
        .bind(updated_at.as_micros())
        .execute(write.connection())
        .await;
    done.map(|_| ()).map_err(fault)
}

/// Keeps the profile as it is now, for good.
async fn keep(write: &mut Write, profile: &Profile, stamp: &Stamp) -> Result<(), Fault> {
    let Profile {
        id,
        organization,
        display_name,
        description,
        labels,
        spec,
        revision,
        created_at: _,
        updated_at: _,
    } = profile;
    let Stamp { by, at } = stamp;
    let done = sqlx::query(KEEP)
        .bind(organization.as_str())
        .bind(id.to_string())
        .bind(i64::from(revision.0))
        .bind(display_name.as_str())
        .bind(description)
        .bind(write_labels(labels))
        .bind(write_spec(spec))
        .bind(by.as_str())
        .bind(at.as_micros())
        .execute(write.connection())
        .await;
    done.map(|_| ()).map_err(fault)
}

async fn bound_by(write: &mut Write, id: ProfileId) -> Result<Vec<RunnerId>, Fault> {
    let query = sqlx::query(BOUND_BY).bind(id.to_string());
    let rows = query.fetch_all(write.connection()).await.map_err(fault)?;
    rows.iter().map(|row| row.parsed("id")).collect()
}

/// Whether exactly these runners, at these revisions, bind the profile.
async fn is_bound_by(
    write: &mut Write,
    id: ProfileId,
    mut judged: Vec<JudgedRunner>,
) -> Result<bool, Fault> {
    let query = sqlx::query(BINDERS).bind(id.to_string());
    let rows = query.fetch_all(write.connection()).await.map_err(fault)?;
    let binders = rows.iter().map(|row| {
        Ok(JudgedRunner {
            runner: row.parsed("uid")?,
            revision: row.revision("revision")?,
        })
    });
    let mut binders = binders.collect::<Result<Vec<_>, Fault>>()?;
    binders.sort_unstable();
    judged.sort_unstable();
    Ok(binders == judged)
}
