//! What became of a sandbox, on its way to the gateway.

use palisade_model::clock::Timestamp;
use palisade_model::id::SandboxId;
use palisade_model::sandbox::state::Observation;
use palisade_model::sandbox::{Exit, State};

use crate::proto::runner_v1 as pb;
use crate::runner::BadMessage;

/// The longest reason that is kept, in bytes.
const REASON_BYTES_MAX: usize = 2_048;

/// An observation as the protocol carries it.
pub fn observation_message(id: SandboxId, observation: &Observation) -> pb::Observation {
    let Observation {
        number,
        state,
        reason,
        started_at,
        service_address,
    } = observation;
    let wire_state = match state {
        // A runner that knows of a sandbox is past this state.
        State::Creating | State::Pending => pb::SandboxState::Pending,
        State::Running => pb::SandboxState::Running,
        State::Paused => pb::SandboxState::Paused,
        State::Terminating => pb::SandboxState::Terminating,
        State::Completed(_) => pb::SandboxState::Completed,
        State::Failed(_) => pb::SandboxState::Failed,
        State::Terminated(_) => pb::SandboxState::Terminated,
    };
    pb::Observation {
        sandbox_id: id.to_string(),
        number: *number,
        state: wire_state.into(),
        reason: reason.clone(),
        exit_code: state.exit().map(|exit| exit.0),
        started_at: started_at.map(Timestamp::as_micros),
        service_address: service_address.clone(),
    }
}

/// An observation as a runner reported it.
pub fn observation(message: pb::Observation) -> Result<(SandboxId, Observation), BadMessage> {
    let pb::Observation {
        sandbox_id,
        number,
        state,
        mut reason,
        exit_code,
        started_at,
        service_address,
    } = message;
    let id = sandbox_id
        .parse()
        .map_err(|_| BadMessage::new("sandbox_id", "is not the id of a sandbox"))?;
    let exit = exit_code.map(Exit);
    let state = match pb::SandboxState::try_from(state) {
        Ok(pb::SandboxState::Pending) => State::Pending,
        Ok(pb::SandboxState::Running) => State::Running,
        Ok(pb::SandboxState::Paused) => State::Paused,
        Ok(pb::SandboxState::Terminating) => State::Terminating,
        Ok(pb::SandboxState::Completed) => {
            State::Completed(exit.ok_or(BadMessage::new("exit_code", "is needed in this state"))?)
        }
        Ok(pb::SandboxState::Failed) => State::Failed(exit),
        Ok(pb::SandboxState::Terminated) => State::Terminated(exit),
        Ok(pb::SandboxState::Unspecified) | Err(_) => {
            return Err(BadMessage::new("state", "is not a known state"));
        }
    };
    reason.truncate(reason.floor_char_boundary(REASON_BYTES_MAX));
    let observation = Observation {
        number,
        state,
        reason,
        started_at: started_at.map(Timestamp::from_micros),
        service_address,
    };
    Ok((id, observation))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    fn any_reported_state() -> impl Strategy<Value = State> {
        prop_oneof![
            Just(State::Pending),
            Just(State::Running),
            Just(State::Paused),
            Just(State::Terminating),
            any::<i32>().prop_map(|code| State::Completed(Exit(code))),
            any::<Option<i32>>().prop_map(|code| State::Failed(code.map(Exit))),
            any::<Option<i32>>().prop_map(|code| State::Terminated(code.map(Exit))),
        ]
    }

    proptest! {
        #[test]
        fn an_observation_survives_the_wire(
            id in any::<u128>(),
            number in any::<u64>(),
            state in any_reported_state(),
            reason in ".{0,64}",
            started_at in any::<Option<i64>>(),
        ) {
            let id = SandboxId::new(Uuid::from_u128(id));
            let sent = Observation {
                number,
                state,
                reason,
                started_at: started_at.map(Timestamp::from_micros),
                service_address: String::new(),
            };
            prop_assert_eq!(observation(observation_message(id, &sent)), Ok((id, sent)));
        }
    }

    #[test]
    fn a_completed_sandbox_has_an_exit_code() {
        let message = pb::Observation {
            sandbox_id: Uuid::from_u128(1).to_string(),
            state: pb::SandboxState::Completed.into(),
            ..Default::default()
        };
        assert_eq!(observation(message).unwrap_err().field, "exit_code");
    }

    #[test]
    fn an_unknown_state_is_refused() {
        let message = pb::Observation {
            sandbox_id: Uuid::from_u128(1).to_string(),
            state: 99,
            ..Default::default()
        };
        assert_eq!(observation(message).unwrap_err().field, "state");
    }
}
