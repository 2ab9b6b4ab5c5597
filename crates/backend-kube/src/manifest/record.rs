//! The record of a sandbox: a Secret that holds its launch.
//!
//! It is written first and owns everything else, so that what a crash leaves
//! behind is found by it, and goes with it. Values of the environment and the
//! contents of mounted files are in it once more, each under a key of its own,
//! for the pod to refer to; nothing of them stands in the pod.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use palisade_model::sandbox::form::{decode_launch, encode_launch};
use palisade_model::sandbox::{Launch, MountedFile};
use serde_json::{Map, Value, json};

use super::metadata;
use crate::naming;
use crate::settings::Settings;

/// The most that a Secret holds, of all its values together.
pub const RECORD_BYTES_MAX: usize = 1024 * 1024;

/// The key of the launch, without the contents of its files.
const LAUNCH: &str = "launch.json";

/// Why something is no record of a sandbox, or cannot become one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// Command, environment and files do not fit into one Secret.
    #[error(
        "command, environment and mounted files take {bytes} bytes together; a cluster keeps at \
         most {RECORD_BYTES_MAX} with a sandbox: write large files after the start"
    )]
    TooLarge {
        /// How much they take.
        bytes: usize,
    },
    /// The Secret does not hold what a record holds.
    #[error("the Secret {name} is no record of a sandbox: {why}")]
    Unreadable {
        /// The name of the Secret.
        name: String,
        /// What is wrong with it.
        why: String,
    },
}

/// The key under which the record holds the value of a variable.
pub(super) fn variable_key(index: usize) -> String {
    format!("env.{index}")
}

/// The key under which the record holds the content of a file.
pub(super) fn file_key(index: usize) -> String {
    format!("file.{index}")
}

/// The record of a launch.
pub fn record(launch: &Launch, settings: &Settings) -> Result<Value, RecordError> {
    let mut values = vec![(LAUNCH.to_owned(), without_contents(launch))];
    for (index, value) in launch.workload.environment.values().enumerate() {
        values.push((variable_key(index), value.clone().into_bytes()));
    }
    for (index, file) in launch.mounted_files.iter().enumerate() {
        values.push((file_key(index), file.content.clone()));
    }
    let bytes = values.iter().map(|(_, value)| value.len()).sum();
    if bytes > RECORD_BYTES_MAX {
        return Err(RecordError::TooLarge { bytes });
    }
    let data: Map<String, Value> = values
        .into_iter()
        .map(|(key, value)| (key, Value::String(STANDARD.encode(value))))
        .collect();
    Ok(json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "sandbox.coreweave.com/launch",
        "metadata": metadata(launch, settings, &naming::object(launch.id)),
        "immutable": true,
        "data": data,
    }))
}

/// The launch that a record was made from. `value` gets what the Secret holds
/// under a key, decoded.
pub fn read_record<'a>(
    name: &str,
    value: impl Fn(&str) -> Option<&'a [u8]>,
) -> Result<Launch, RecordError> {
    let unreadable = |why: String| RecordError::Unreadable {
        name: name.to_owned(),
        why,
    };
    let launch = value(LAUNCH).ok_or_else(|| unreadable(format!("it has no {LAUNCH}")))?;
    let launch: Value =
        serde_json::from_slice(launch).map_err(|error| unreadable(error.to_string()))?;
    let mut launch = decode_launch(&launch).map_err(|violations| {
        let first = violations.first().map(ToString::to_string);
        unreadable(first.unwrap_or_default())
    })?;
    for (index, file) in launch.mounted_files.iter_mut().enumerate() {
        let key = file_key(index);
        let content = value(&key).ok_or_else(|| unreadable(format!("it has no {key}")))?;
        file.content = content.to_vec();
    }
    Ok(launch)
}

fn without_contents(launch: &Launch) -> Vec<u8> {
    let files = launch.mounted_files.iter();
    let files = files.map(|file| MountedFile {
        path: file.path.clone(),
        content: Vec::new(),
    });
    let bare = Launch {
        mounted_files: files.collect(),
        ..launch.clone()
    };
    encode_launch(&bare).to_string().into_bytes()
}
