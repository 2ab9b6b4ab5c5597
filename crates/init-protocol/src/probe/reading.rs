//! What was heard when something was asked.

use std::fmt;
use std::str::FromStr;

use super::{BadProbe, Probe, cut};

/// What became of one probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// What was asked.
    pub probe: Probe,
    /// What was heard.
    pub outcome: Outcome,
    /// More of it, for people: addresses of a name, the kernel's words.
    pub detail: String,
}

/// What was heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Outcome {
    /// A connection came about, or data came back; of a name, an address.
    Open,
    /// The port of the target is closed, which only the target can say; or a
    /// server of names answered, and knew no address.
    Answered,
    /// The connection was reset: the port of the target is closed, or whoever
    /// refuses says so in the target's name.
    Reset,
    /// The network says that this is not allowed.
    Refused,
    /// The network says no, but not whether it may not or cannot.
    Blocked,
    /// The network says that it knows no way there.
    Unreachable,
    /// Nothing was heard in time.
    Silent,
    /// There is no such name, says a server of names.
    NoSuchName,
    /// A server of names does not want to say.
    Declined,
    /// It could not be asked.
    Failed,
}

/// A line is no reading.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadReading {
    /// It does not begin with a probe.
    #[error(transparent)]
    Probe(#[from] BadProbe),
    /// What was heard is missing, or unknown.
    #[error("{line:?} says nothing that is understood of its probe")]
    Outcome {
        /// The line, cut short.
        line: String,
    },
}

impl Reading {
    /// The longest detail, in bytes.
    pub const DETAIL_LEN_MAX: usize = 512;

    /// A reading whose detail is fit to be printed.
    pub fn new(probe: Probe, outcome: Outcome, detail: &str) -> Self {
        Self {
            probe,
            outcome,
            detail: visible(detail),
        }
    }
}

impl Outcome {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Open,
        Self::Answered,
        Self::Reset,
        Self::Refused,
        Self::Blocked,
        Self::Unreachable,
        Self::Silent,
        Self::NoSuchName,
        Self::Declined,
        Self::Failed,
    ];

    /// As it is printed.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Answered => "answered",
            Self::Reset => "reset",
            Self::Refused => "refused",
            Self::Blocked => "blocked",
            Self::Unreachable => "unreachable",
            Self::Silent => "silent",
            Self::NoSuchName => "no-such-name",
            Self::Declined => "declined",
            Self::Failed => "failed",
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Reading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            probe,
            outcome,
            detail,
        } = self;
        write!(f, "{probe} {outcome}")?;
        if detail.is_empty() {
            Ok(())
        } else {
            write!(f, " {detail}")
        }
    }
}

impl FromStr for Reading {
    type Err = BadReading;

    fn from_str(line: &str) -> Result<Self, BadReading> {
        let mut parts = line.splitn(3, ' ');
        let probe = parts.next().unwrap_or_default().parse()?;
        let word = parts.next().unwrap_or_default();
        let outcome = Outcome::ALL
            .into_iter()
            .find(|outcome| outcome.as_str() == word)
            .ok_or_else(|| BadReading::Outcome { line: cut(line) })?;
        let detail = parts.next().unwrap_or_default();
        Ok(Self::new(probe, outcome, detail))
    }
}

/// A text without what a terminal would obey, and no longer than allowed.
fn visible(text: &str) -> String {
    let visible = |it: char| if it.is_control() { ' ' } else { it };
    let text: String = text.chars().map(visible).collect();
    let text = text.trim();
    let end = text.floor_char_boundary(Reading::DETAIL_LEN_MAX);
    text[..end].trim_end().to_owned()
}
