//! The program beside a main process that something else started, as in a pod.
//!
//! `palisade-init agent` is run in the sandbox by whoever may run commands there,
//! as the user that commands run as, and with their variables and directory. It
//! reads one [`AgentConfig`] from its input, a frame, listens at the port, and says
//! so in one line of its output ([`Report`]). Whoever connects has to know the key
//! (`palisade-init-channel`); inside of that, connections are those of process 1,
//! but for what only process 1 can do: [`Request::Stop`] and [`Request::Watch`] are
//! refused.
//!
//! Its input stays open. A byte on it is answered by one on the output; once
//! nothing has come for [`SILENCE_MAX`], or the input ends, nobody wants anything
//! of it any more: it kills every command that still has a connection, and ends.
//!
//! The invariant: a decoded value is valid, and the key is never shown.
//!
//! [`Request::Stop`]: crate::request::Request::Stop
//! [`Request::Watch`]: crate::request::Request::Watch

use std::fmt;
use std::num::NonZeroU16;
use std::time::Duration;

use bytes::Bytes;
use prost::Message as _;

use crate::config::Limits;
use crate::frame;
use crate::text::{Invalid, Reason};
use crate::wire;

/// The first argument of the program that is an agent.
pub const AGENT: &str = "agent";
/// How long the input may say nothing.
pub const SILENCE_MAX: Duration = Duration::from_secs(90);
/// How often it says something: several get lost before that is noticed.
pub const BEAT: Duration = Duration::from_secs(20);
/// A byte that says nothing but that somebody is there.
pub const BEAT_BYTE: u8 = b'.';
/// The most bytes that the frame of a configuration has.
pub const CONFIG_BYTES_MAX: usize = 1024;
/// The most bytes that the line of a report has, with its end.
pub const REPORT_BYTES_MAX: usize = 1024;

const LISTENING: &str = "listening";
const FAILED: &str = "failed: ";

/// What both ends of a connection know, and nobody else.
#[derive(Clone, PartialEq, Eq)]
pub struct Key([u8; Key::LEN]);

/// What an agent is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentConfig {
    /// Where to listen.
    pub port: NonZeroU16,
    /// What whoever connects has to know.
    pub key: Key,
    /// What is bounded. There is no log.
    pub limits: Limits,
}

/// What an agent says once it has begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Report {
    /// It can be connected to.
    Listening,
    /// It cannot, and has ended.
    Failed(Reason),
}

/// A configuration that makes no sense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadConfig {
    /// It is not a message at all.
    #[error("the configuration is not a message of the protocol")]
    NotAMessage,
    /// A part of it is not valid.
    #[error(transparent)]
    Invalid(#[from] Invalid),
}

impl Key {
    /// How many bytes it has.
    pub const LEN: usize = 32;

    /// Takes what should be random.
    pub const fn new(bytes: [u8; Self::LEN]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    pub const fn bytes(&self) -> &[u8; Self::LEN] {
        &self.0
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key")
    }
}

impl AgentConfig {
    /// Parses the body of a frame.
    pub fn decode(body: Bytes) -> Result<Self, BadConfig> {
        let message = wire::AgentConfig::decode(body).map_err(|_| BadConfig::NotAMessage)?;
        Ok(message.try_into()?)
    }

    /// The frame.
    pub fn encode(self) -> Bytes {
        let Self { port, key, limits } = self;
        frame::encode(&wire::AgentConfig {
            port: port.get().into(),
            key: key.0.to_vec(),
            limits: Some(limits.into()),
        })
    }
}

impl TryFrom<wire::AgentConfig> for AgentConfig {
    type Error = Invalid;

    fn try_from(message: wire::AgentConfig) -> Result<Self, Invalid> {
        let wire::AgentConfig { port, key, limits } = message;
        let out_of_range = |what| Invalid::OutOfRange { what };
        let port = u16::try_from(port).ok().and_then(NonZeroU16::new);
        let key = <[u8; Key::LEN]>::try_from(key);
        Ok(Self {
            port: port.ok_or(out_of_range("the port"))?,
            key: Key(key.map_err(|_| out_of_range("the length of the key"))?),
            limits: limits.map_or(Limits::DEFAULT, Limits::from),
        })
    }
}

impl Report {
    /// Reads a line, without its end; `None` if it is none of these.
    pub fn parse(line: &str) -> Option<Self> {
        if line == LISTENING {
            return Some(Self::Listening);
        }
        let reason = line.strip_prefix(FAILED)?;
        Some(Self::Failed(Reason::new(reason)))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listening => f.write_str(LISTENING),
            Self::Failed(reason) => {
                // One line, whatever the reason is, and not too long a one.
                let len_max = REPORT_BYTES_MAX - FAILED.len() - 1;
                let text = reason.as_str().replace(char::is_control, " ");
                write!(f, "{FAILED}{}", &text[..text.floor_char_boundary(len_max)])
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::Assembler;

    fn config() -> AgentConfig {
        AgentConfig {
            port: NonZeroU16::MAX,
            key: Key::new([7; Key::LEN]),
            limits: Limits {
                execs: 3,
                ..Limits::DEFAULT
            },
        }
    }

    #[test]
    fn a_configuration_survives_the_way_and_is_short() {
        let frame = config().encode();
        assert!(frame.len() <= CONFIG_BYTES_MAX);
        let body = Assembler::default().push(&mut frame.as_ref()).unwrap();
        assert_eq!(AgentConfig::decode(body.unwrap()), Ok(config()));
    }

    #[test]
    fn a_configuration_without_a_port_or_a_whole_key_is_refused() {
        assert!(AgentConfig::decode(Bytes::new()).is_err());
        let message = |port, key| wire::AgentConfig {
            port,
            key,
            limits: None,
        };
        let tried = |port, key| AgentConfig::try_from(message(port, key));
        assert!(tried(1, vec![0; Key::LEN]).is_ok());
        assert!(tried(0, vec![0; Key::LEN]).is_err());
        assert!(tried(65_536, vec![0; Key::LEN]).is_err());
        assert!(tried(1, vec![0; Key::LEN - 1]).is_err());
    }

    #[test]
    fn the_key_is_not_shown() {
        assert!(!format!("{:?}", config()).contains("7, 7"));
    }

    #[test]
    fn a_report_is_one_line_that_reads_as_it_was_meant() {
        let failed = |text: &str| Report::Failed(Reason::new(text));
        for report in [Report::Listening, failed("the port is taken")] {
            assert_eq!(Report::parse(&report.to_string()), Some(report));
        }
        let odd = failed(&"a\n\u{e4}".repeat(2000)).to_string();
        assert!(odd.len() < REPORT_BYTES_MAX && !odd.contains('\n'), "{odd}");
        assert_eq!(Report::parse("sh: not found"), None);
    }
}
