//! What an image says about running it.
//!
//! The values are checked once, in [`Config::from_document`]: no part of a
//! [`Config`] can hold a NUL byte, and numbers are numbers. It does not resolve
//! names of users: process 1 does, in the root that the sandbox really has.

use std::fmt;
use std::str::FromStr;

use crate::document::ConfigDocument;
use crate::error::{ImageError, harmless};

/// What an image says about running it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// Environment, in order; no name is empty or holds `=`.
    pub env: Vec<(String, String)>,
    /// The program and its first arguments; may be empty.
    pub entrypoint: Vec<String>,
    /// Arguments to the entry point, or the command if that is empty.
    pub cmd: Vec<String>,
    /// Where the command starts; absolute. `/` if the image does not say.
    pub working_dir: String,
    /// Who runs the command, as the image spells it; empty means root.
    pub user: String,
    /// Ports that the image says it listens on.
    pub exposed_ports: Vec<ExposedPort>,
    /// The signal that asks the command to end.
    pub stop_signal: Option<Signal>,
    /// Labels, sorted by key.
    pub labels: Vec<(String, String)>,
}

/// A port that an image says it listens on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ExposedPort {
    /// The port.
    pub port: u16,
    /// Its protocol.
    pub protocol: Protocol,
}

/// A transport protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

/// A Linux signal, by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Signal(u8);

/// A text that names no signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is no signal; write a name such as SIGTERM or a number from 1 to 64")]
pub struct SignalError;

/// A text that names no port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is no port; write 1 to 65535, with /tcp, /udp or /sctp behind it")]
pub struct ExposedPortError;

impl Config {
    /// Checks what an image's configuration says.
    pub(crate) fn from_document(document: ConfigDocument) -> Result<Self, ImageError> {
        // No `..`: a field added to the document must be dealt with here.
        let ConfigDocument {
            env,
            entrypoint,
            cmd,
            working_dir,
            user,
            exposed_ports,
            stop_signal,
            labels,
        } = document;
        let mut checked = Self {
            env: env.unwrap_or_default().into_iter().map(split_env).collect(),
            entrypoint: entrypoint.unwrap_or_default(),
            cmd: cmd.unwrap_or_default(),
            working_dir: absolute(working_dir.unwrap_or_default()),
            user: user.unwrap_or_default(),
            exposed_ports: Vec::new(),
            stop_signal: None,
            labels: labels.unwrap_or_default().into_iter().collect(),
        };
        for port in exposed_ports.unwrap_or_default().keys() {
            checked
                .exposed_ports
                .push(port.parse().map_err(|e| bad("ExposedPorts", port, &e))?);
        }
        if let Some(signal) = stop_signal.filter(|text| !text.is_empty()) {
            checked.stop_signal = Some(signal.parse().map_err(|e| bad("StopSignal", &signal, &e))?);
        }
        checked.check()?;
        Ok(checked)
    }

    /// The value of an environment variable.
    pub fn env(&self, name: &str) -> Option<&str> {
        let found = self.env.iter().rev().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    }

    fn check(&self) -> Result<(), ImageError> {
        let pairs = self.env.iter().chain(&self.labels);
        let texts = pairs
            .flat_map(|(key, value)| [key, value])
            .chain(&self.entrypoint)
            .chain(&self.cmd)
            .chain([&self.working_dir, &self.user]);
        for text in texts {
            if text.contains('\0') {
                return Err(ImageError::malformed(WHAT, "a text holds a NUL byte"));
            }
        }
        if self.env.iter().any(|(name, _)| name.is_empty()) {
            return Err(ImageError::malformed(
                WHAT,
                "Env has an entry without a name",
            ));
        }
        Ok(())
    }
}

const WHAT: &str = "the image's configuration";

fn bad(field: &str, text: &str, error: &dyn fmt::Display) -> ImageError {
    ImageError::malformed(
        WHAT,
        format!("{field}: {} {error}", harmless(text.as_bytes())),
    )
}

fn split_env(entry: String) -> (String, String) {
    match entry.split_once('=') {
        Some((name, value)) => (name.to_owned(), value.to_owned()),
        None => (entry, String::new()),
    }
}

fn absolute(path: String) -> String {
    if path.starts_with('/') {
        path
    } else {
        format!("/{path}")
    }
}

impl FromStr for ExposedPort {
    type Err = ExposedPortError;

    fn from_str(text: &str) -> Result<Self, ExposedPortError> {
        let (port, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
        let protocol = match protocol {
            "tcp" => Protocol::Tcp,
            "udp" => Protocol::Udp,
            "sctp" => Protocol::Sctp,
            _ => return Err(ExposedPortError),
        };
        match port.parse() {
            Ok(port) if port != 0 => Ok(Self { port, protocol }),
            Ok(_) | Err(_) => Err(ExposedPortError),
        }
    }
}

impl fmt::Display for ExposedPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let protocol = match self.protocol {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
            Protocol::Sctp => "sctp",
        };
        write!(f, "{}/{protocol}", self.port)
    }
}

impl Signal {
    /// The signal's number on Linux, 1 to 64.
    pub fn number(self) -> u8 {
        self.0
    }
}

/// The first real-time signal that C libraries leave to programs.
const SIGRTMIN: u8 = 34;
const SIGRTMAX: u8 = 64;

/// Names by number; the same on all architectures that images are made for,
/// except MIPS.
const SIGNALS: [&str; 31] = [
    "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2",
    "PIPE", "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG",
    "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
];

impl FromStr for Signal {
    type Err = SignalError;

    fn from_str(text: &str) -> Result<Self, SignalError> {
        if let Ok(number) = text.parse::<u8>() {
            return in_range(number);
        }
        let upper = text.to_ascii_uppercase();
        let name = upper.strip_prefix("SIG").unwrap_or(&upper);
        if let Some(offset) = name.strip_prefix("RTMIN") {
            return in_range(SIGRTMIN.saturating_add(offset_of(offset, '+')?));
        }
        if let Some(offset) = name.strip_prefix("RTMAX") {
            return in_range(SIGRTMAX.saturating_sub(offset_of(offset, '-')?));
        }
        let index = SIGNALS.iter().position(|known| *known == name);
        let number = index.and_then(|index| u8::try_from(index + 1).ok());
        number.map(Self).ok_or(SignalError)
    }
}

fn in_range(number: u8) -> Result<Signal, SignalError> {
    if (1..=SIGRTMAX).contains(&number) {
        Ok(Signal(number))
    } else {
        Err(SignalError)
    }
}

fn offset_of(text: &str, sign: char) -> Result<u8, SignalError> {
    if text.is_empty() {
        return Ok(0);
    }
    let digits = text.strip_prefix(sign).ok_or(SignalError)?;
    digits.parse().map_err(|_| SignalError)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(json: &str) -> Result<Config, ImageError> {
        Config::from_document(serde_json::from_str(json).unwrap())
    }

    #[test]
    fn a_full_configuration_is_understood() {
        let config = parse(
            r#"{"Env":["PATH=/bin:/usr/bin","EMPTY=","A=b=c"],"Entrypoint":["/init"],"Cmd":["-x"],
                "WorkingDir":"srv","User":"app:staff","ExposedPorts":{"80/tcp":{},"53/udp":{}},
                "StopSignal":"SIGQUIT","Labels":{"b":"2","a":"1"}}"#,
        )
        .unwrap();
        assert_eq!(config.env("PATH"), Some("/bin:/usr/bin"));
        assert_eq!(config.env("EMPTY"), Some(""));
        assert_eq!(config.env("A"), Some("b=c"));
        assert_eq!(config.working_dir, "/srv");
        assert_eq!(config.stop_signal.map(Signal::number), Some(3));
        let ports: Vec<_> = config
            .exposed_ports
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(ports, ["53/udp", "80/tcp"]);
        assert_eq!(config.labels[0].0, "a");
    }

    #[test]
    fn nulls_and_absent_fields_mean_nothing_said() {
        for json in [
            "{}",
            r#"{"Env":null,"Cmd":null,"ExposedPorts":null,"StopSignal":""}"#,
        ] {
            let config = parse(json).unwrap();
            assert_eq!(config.working_dir, "/");
            assert_eq!(config.stop_signal, None);
            assert!(config.env.is_empty() && config.cmd.is_empty());
        }
    }

    #[test]
    fn values_that_could_not_be_used_are_refused() {
        for json in [
            r#"{"Cmd":["a\u0000b"]}"#,
            r#"{"Env":["=x"]}"#,
            r#"{"ExposedPorts":{"0/tcp":{}}}"#,
            r#"{"ExposedPorts":{"80/icmp":{}}}"#,
            r#"{"StopSignal":"SIGNOTHING"}"#,
        ] {
            assert!(
                matches!(parse(json), Err(ImageError::Malformed { .. })),
                "{json}"
            );
        }
    }

    #[test]
    fn signals_go_by_name_number_and_offset() {
        for (text, number) in [
            ("SIGTERM", 15),
            ("term", 15),
            ("9", 9),
            ("SIGRTMIN+3", 37),
            ("SIGRTMAX-1", 63),
            ("RTMIN", 34),
        ] {
            assert_eq!(
                text.parse::<Signal>().map(Signal::number),
                Ok(number),
                "{text}"
            );
        }
        for text in ["", "0", "65", "SIGRTMIN+31", "SIGRTMIN-1", "SIG"] {
            assert_eq!(text.parse::<Signal>(), Err(SignalError), "{text}");
        }
    }
}
