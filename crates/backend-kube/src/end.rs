//! The end of a sandbox, written into its record.
//!
//! Most sandboxes end in their pod, which stays until they are removed. Where a
//! pod is gone, or was never made, or would be tried for ever, the end stands in
//! an annotation of the record instead, and has the last word.

use std::collections::BTreeMap;

use palisade_backend::View;
use palisade_model::clock::Timestamp;
use palisade_model::sandbox::Exit;
use serde_json::{Value, json};

/// The annotation.
pub const END: &str = "sandbox.coreweave.com/end";

/// The annotation for this end.
pub(crate) fn encode(view: &View) -> Option<String> {
    let value = match view {
        View::Ended {
            since,
            at,
            exit,
            reason,
            stopped,
        } => json!({
            "ended": {
                "since": since.map(Timestamp::as_micros),
                "at": at.as_micros(),
                "exit": exit.map(|exit| exit.0),
                "reason": reason,
                "stopped": stopped,
            },
        }),
        View::Failed { at, reason } => json!({
            "failed": { "at": at.as_micros(), "reason": reason },
        }),
        View::Starting(_) | View::Running { .. } | View::Paused { .. } | View::Stopping { .. } => {
            return None;
        }
    };
    Some(value.to_string())
}

/// The end that annotations tell, if there is one.
pub(crate) fn decode(annotations: Option<&BTreeMap<String, String>>) -> Option<View> {
    let value: Value = serde_json::from_str(annotations?.get(END)?).ok()?;
    let at = |block: &Value, key: &str| block[key].as_i64().map(Timestamp::from_micros);
    let reason = |block: &Value| block["reason"].as_str().unwrap_or_default().to_owned();
    if let Some(block) = value.get("failed") {
        return Some(View::Failed {
            at: at(block, "at")?,
            reason: reason(block),
        });
    }
    let block = value.get("ended")?;
    let exit = block["exit"].as_i64();
    Some(View::Ended {
        since: at(block, "since"),
        at: at(block, "at")?,
        exit: exit.and_then(|code| i32::try_from(code).ok()).map(Exit),
        reason: reason(block),
        stopped: block["stopped"].as_bool().unwrap_or(false),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_comes_back_out_of_its_annotation() {
        let at = Timestamp::from_micros(5);
        let ended = |since, exit, stopped| View::Ended {
            since,
            at,
            exit,
            reason: "because".to_owned(),
            stopped,
        };
        let failed = View::Failed {
            at,
            reason: "no image".to_owned(),
        };
        let ends = [
            failed,
            ended(None, None, true),
            ended(Some(at), Some(Exit(137)), false),
        ];
        for end in ends {
            let text = encode(&end).unwrap();
            let annotations = BTreeMap::from([(END.to_owned(), text)]);
            assert_eq!(decode(Some(&annotations)), Some(end));
        }
        assert_eq!(encode(&View::Starting(String::new())), None);
        assert_eq!(decode(None), None);
    }

    #[test]
    fn what_is_no_end_is_none() {
        for text in ["", "{}", "[]", r#"{"ended":{}}"#, r#"{"failed":1}"#] {
            let annotations = BTreeMap::from([(END.to_owned(), text.to_owned())]);
            assert_eq!(decode(Some(&annotations)), None, "{text}");
        }
    }
}
