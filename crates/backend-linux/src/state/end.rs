//! How a sandbox ended, as a document that outlives what it tells of.
//!
//! Reading gives nothing for a document that does not read: then the end is
//! found out anew from what process 1 wrote.

use palisade_backend::View;
use palisade_model::clock::Timestamp;
use palisade_model::sandbox::Exit;
use serde_json::{Value, json};

/// How a sandbox ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// Its main process ran, or was to run.
    Ended {
        since: Option<Timestamp>,
        at: Timestamp,
        exit: Option<Exit>,
        reason: String,
        stopped: bool,
    },
    /// It could not be made.
    Failed { at: Timestamp, reason: String },
}

impl End {
    /// Writes the document.
    pub(crate) fn encode(&self) -> Value {
        match self {
            Self::Ended {
                since,
                at,
                exit,
                reason,
                stopped,
            } => json!({
                "since_micros": since.map(Timestamp::as_micros),
                "at_micros": at.as_micros(),
                "exit": exit.map(|exit| exit.0),
                "reason": reason,
                "stopped": stopped,
            }),
            Self::Failed { at, reason } => json!({
                "at_micros": at.as_micros(),
                "failed": reason,
            }),
        }
    }

    /// Reads the document.
    pub(crate) fn decode(document: &Value) -> Option<Self> {
        let at = Timestamp::from_micros(document.get("at_micros")?.as_i64()?);
        if let Some(reason) = document.get("failed") {
            let reason = reason.as_str()?.to_owned();
            return Some(Self::Failed { at, reason });
        }
        let since = document.get("since_micros")?.as_i64();
        let exit = document.get("exit")?.as_i64();
        Some(Self::Ended {
            since: since.map(Timestamp::from_micros),
            at,
            exit: exit.and_then(|code| i32::try_from(code).ok()).map(Exit),
            reason: document.get("reason")?.as_str()?.to_owned(),
            stopped: document.get("stopped")?.as_bool()?,
        })
    }

    /// What is shown of it.
    pub(crate) fn view(&self) -> View {
        match self.clone() {
            Self::Ended {
                since,
                at,
                exit,
                reason,
                stopped,
            } => View::Ended {
                since,
                at,
                exit,
                reason,
                stopped,
            },
            Self::Failed { at, reason } => View::Failed { at, reason },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_reads_as_it_was_written() {
        let at = Timestamp::from_micros(5);
        let ended = |since, exit| End::Ended {
            since,
            at,
            exit,
            reason: "out of memory".into(),
            stopped: true,
        };
        let failed = End::Failed {
            at,
            reason: "no image".into(),
        };
        for end in [
            ended(None, None),
            ended(Some(Timestamp::EPOCH), Some(Exit(137))),
            failed,
        ] {
            assert_eq!(End::decode(&end.encode()), Some(end));
        }
    }

    #[test]
    fn another_document_is_none() {
        for document in [json!({}), json!(7), json!({"at_micros": 1})] {
            assert_eq!(End::decode(&document), None);
        }
    }
}
