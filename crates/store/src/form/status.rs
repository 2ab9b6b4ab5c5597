//! What became of a sandbox.

use std::time::Duration;

use palisade_model::clock::Timestamp;
use palisade_model::document::{Node, Reader};
use palisade_model::sandbox::{Exit, Phase, State, Status, StopWish};
use palisade_model::violation::ViolationKind;
use serde_json::{Value, json};

use super::settings::read_instant;
use super::{optional, read, read_i64, read_text, read_u64};
use crate::error::Fault;

const FIELDS: [&str; 9] = [
    "phase",
    "exit",
    "reason",
    "observed",
    "stop",
    "pause",
    "started_at",
    "ended_at",
    "service_address",
];

pub(crate) fn write_status(status: &Status) -> String {
    let Status {
        state,
        reason,
        observed,
        stop,
        is_pause_wished,
        started_at,
        ended_at,
        service_address,
    } = status;
    json!({
        "phase": state.phase().as_str(),
        "exit": state.exit().map(|Exit(code)| code),
        "reason": reason,
        "observed": observed,
        "stop": stop.as_ref().map(write_stop),
        "pause": is_pause_wished,
        "started_at": started_at.map(Timestamp::as_micros),
        "ended_at": ended_at.map(Timestamp::as_micros),
        "service_address": service_address,
    })
    .to_string()
}

pub(crate) fn read_status(text: &str) -> Result<Status, Fault> {
    read("status of a sandbox", text, |reader, root| {
        let fields = reader.fields(root, &FIELDS)?;
        let phase = fields.get("phase")?;
        let exit = optional(reader, &fields, "exit", read_exit)?;
        Some(Status {
            state: read_state(reader, &phase, exit)?,
            reason: read_text(reader, &fields.get("reason")?)?,
            observed: read_u64(reader, &fields.get("observed")?)?,
            stop: optional(reader, &fields, "stop", read_stop)?,
            // Absent from what was written before sandboxes could be frozen.
            is_pause_wished: optional(reader, &fields, "pause", |reader, node| {
                reader.boolean(node)
            })?
            .unwrap_or(false),
            started_at: optional(reader, &fields, "started_at", read_instant)?,
            ended_at: optional(reader, &fields, "ended_at", read_instant)?,
            service_address: read_text(reader, &fields.get("service_address")?)?,
        })
    })
}

fn read_state(reader: &mut Reader, node: &Node<'_>, exit: Option<Exit>) -> Option<State> {
    let phase = reader.word(node, &Phase::ALL, Phase::as_str)?;
    let state = match (phase, exit) {
        (Phase::Creating, None) => State::Creating,
        (Phase::Pending, None) => State::Pending,
        (Phase::Running, None) => State::Running,
        (Phase::Paused, None) => State::Paused,
        (Phase::Terminating, None) => State::Terminating,
        (Phase::Completed, Some(exit)) => State::Completed(exit),
        (Phase::Failed, exit) => State::Failed(exit),
        (Phase::Terminated, exit) => State::Terminated(exit),
        (Phase::Completed, None)
        | (
            Phase::Creating | Phase::Pending | Phase::Running | Phase::Paused | Phase::Terminating,
            Some(_),
        ) => {
            let description = "does not go together with the exit code";
            reader.refuse(node, ViolationKind::Conflict, description);
            return None;
        }
    };
    Some(state)
}

fn read_exit(reader: &mut Reader, node: &Node<'_>) -> Option<Exit> {
    let code = read_i64(reader, node)?;
    reader.accept(node, i32::try_from(code)).map(Exit)
}

fn write_stop(stop: &StopWish) -> Value {
    let StopWish { grace, at } = stop;
    json!({
        "grace_seconds": grace.as_secs(),
        "grace_nanos": grace.subsec_nanos(),
        "at": at.as_micros(),
    })
}

fn read_stop(reader: &mut Reader, node: &Node<'_>) -> Option<StopWish> {
    let fields = reader.fields(node, &["grace_seconds", "grace_nanos", "at"])?;
    let seconds = Duration::from_secs(read_u64(reader, &fields.get("grace_seconds")?)?);
    let nanos = Duration::from_nanos(reader.count(&fields.get("grace_nanos")?)?.into());
    Some(StopWish {
        grace: seconds.saturating_add(nanos),
        at: read_instant(reader, &fields.get("at")?)?,
    })
}
