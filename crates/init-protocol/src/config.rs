//! What a sandbox is to be: the main process and the limits.
//!
//! Read once by process 1, from a descriptor, before anything else runs. It does
//! not go through arguments or variables, so that nothing of it can be seen from
//! inside. Invariant: a decoded value is valid.

use bytes::Bytes;
use prost::Message;

use crate::request::variables;
use crate::text::{AbsolutePath, Command, Invalid, SignalNumber, UserName, Variable};
use crate::wire;

/// The most bytes that an encoded configuration has.
///
/// The kernel takes far less for a command and its environment.
pub const CONFIG_BYTES_MAX: usize = 16 * 1024 * 1024;

/// What a sandbox is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The main process.
    pub command: Command,
    /// Its variables, those of the image and those of the request; the last of a
    /// name wins. `PATH` and `HOME` are filled in if they are missing.
    pub environment: Vec<Variable>,
    /// Where it starts; made if it is missing.
    pub directory: AbsolutePath,
    /// Who runs it.
    pub user: UserName,
    /// How it is asked to end.
    pub stop_signal: SignalNumber,
    /// What is bounded.
    pub limits: Limits,
}

/// What is bounded. A zero stands for the default.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Commands at once.
    pub execs: u32,
    /// Connections at once, whatever they are for.
    pub connections: u32,
    /// Files that are read or written at once.
    pub file_jobs: u32,
    /// Connections into the sandbox at once.
    pub tunnels: u32,
    /// Bytes of the log that are kept.
    pub log_bytes: u64,
    /// Records of the log that are kept.
    pub log_records: u64,
}

/// A configuration that makes no sense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// It is not a message at all.
    #[error("the configuration is not a message of the protocol")]
    NotAMessage,
    /// A part of it is not valid.
    #[error(transparent)]
    Invalid(#[from] Invalid),
}

impl Limits {
    /// What is bounded unless something else is said.
    ///
    /// An exec holds six descriptors and no thread, a tunnel two; a job on a file
    /// is a process.
    pub const DEFAULT: Self = Self {
        execs: 1024,
        connections: 16 * 1024,
        file_jobs: 32,
        tunnels: 256,
        log_bytes: 64 * 1024 * 1024,
        log_records: 1024 * 1024,
    };
}

impl Default for Limits {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl Config {
    /// Parses a whole configuration.
    pub fn decode(bytes: Bytes) -> Result<Self, ConfigError> {
        let message = wire::Config::decode(bytes).map_err(|_| ConfigError::NotAMessage)?;
        Ok(message.try_into()?)
    }

    /// The bytes for the descriptor.
    pub fn encode(self) -> Vec<u8> {
        wire::Config::from(self).encode_to_vec()
    }
}

impl TryFrom<wire::Config> for Config {
    type Error = Invalid;

    fn try_from(message: wire::Config) -> Result<Self, Invalid> {
        let wire::Config {
            command,
            environment,
            directory,
            user,
            stop_signal,
            limits,
        } = message;
        Ok(Self {
            command: Command::new(command)?,
            environment: variables(environment)?,
            directory: AbsolutePath::new(directory)?,
            user: UserName::new(user)?,
            stop_signal: SignalNumber::new(stop_signal.into())?,
            limits: limits.map_or(Limits::DEFAULT, Limits::from),
        })
    }
}

impl From<Config> for wire::Config {
    fn from(config: Config) -> Self {
        let Config {
            command,
            environment,
            directory,
            user,
            stop_signal,
            limits,
        } = config;
        Self {
            command: command.into_words(),
            environment: environment.into_iter().map(Into::into).collect(),
            directory: directory.into_string(),
            user: user.into_string(),
            stop_signal: stop_signal.get().into(),
            limits: Some(limits.into()),
        }
    }
}

impl From<wire::Limits> for Limits {
    fn from(message: wire::Limits) -> Self {
        fn or<T: Default + PartialEq>(value: T, default: T) -> T {
            if value == T::default() {
                default
            } else {
                value
            }
        }
        let wire::Limits {
            execs,
            connections,
            file_jobs,
            log_bytes,
            log_records,
            tunnels,
        } = message;
        Self {
            execs: or(execs, Self::DEFAULT.execs),
            connections: or(connections, Self::DEFAULT.connections),
            file_jobs: or(file_jobs, Self::DEFAULT.file_jobs),
            tunnels: or(tunnels, Self::DEFAULT.tunnels),
            log_bytes: or(log_bytes, Self::DEFAULT.log_bytes),
            log_records: or(log_records, Self::DEFAULT.log_records),
        }
    }
}

impl From<Limits> for wire::Limits {
    fn from(limits: Limits) -> Self {
        let Limits {
            execs,
            connections,
            file_jobs,
            tunnels,
            log_bytes,
            log_records,
        } = limits;
        Self {
            execs,
            connections,
            file_jobs,
            log_bytes,
            log_records,
            tunnels,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> Config {
        Config {
            command: Command::new(vec!["sleep".into(), "infinity".into()]).unwrap(),
            environment: vec![Variable::new("TOKEN".into(), "s3cret".into()).unwrap()],
            directory: AbsolutePath::new("/work".into()).unwrap(),
            user: UserName::new("app:app".into()).unwrap(),
            stop_signal: SignalNumber::TERM,
            limits: Limits {
                execs: 3,
                ..Limits::DEFAULT
            },
        }
    }

    #[test]
    fn a_configuration_survives_the_way() {
        let bytes = Bytes::from(config().encode());
        assert_eq!(Config::decode(bytes), Ok(config()));
    }

    #[test]
    fn a_configuration_that_was_cut_is_refused_or_differs() {
        let bytes = Bytes::from(config().encode());
        for len in 0..bytes.len() {
            assert_ne!(Config::decode(bytes.slice(..len)), Ok(config()));
        }
    }

    #[test]
    fn limits_of_zero_are_the_defaults() {
        let mut zero = config();
        zero.limits = Limits {
            execs: 0,
            connections: 0,
            file_jobs: 0,
            tunnels: 0,
            log_bytes: 0,
            log_records: 0,
        };
        let read = Config::decode(Bytes::from(zero.encode())).unwrap();
        assert_eq!(read.limits, Limits::DEFAULT);
    }

    #[test]
    fn an_empty_configuration_says_what_is_missing() {
        let refused = Config::decode(Bytes::new());
        assert_eq!(refused, Err(ConfigError::Invalid(Invalid::NoCommand)));
    }

    #[test]
    fn no_secret_is_shown() {
        assert!(!format!("{:?}", config()).contains("s3cret"));
    }
}
