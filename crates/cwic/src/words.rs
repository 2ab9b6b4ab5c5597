//! Words of the command line that are more than text.
//!
//! Each is read once, by its `FromStr`, and an error says which rule was broken.

use std::num::NonZeroU16;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use palisade_model::clock::Timestamp;
use palisade_wire::timestamp;

/// A variable.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Pair {
    /// Its name.
    pub(crate) key: String,
    /// What is in it.
    pub(crate) value: String,
}

impl std::fmt::Debug for Pair {
    /// Leaves out the value, which may be a secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Pair({})", self.key)
    }
}

/// Accelerators.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Gpu {
    /// How many.
    pub(crate) count: u32,
    /// Of which type, if it matters.
    pub(crate) kind: Option<String>,
}

/// When a log is to begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Instant {
    /// So long before now.
    Ago(Duration),
    /// Then.
    At(Timestamp),
}

/// A side of a copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// On this machine.
    Here(PathBuf),
    /// In a sandbox, by an absolute path.
    There {
        /// The id of the sandbox.
        id: String,
        /// The path.
        path: String,
    },
}

/// A port of a sandbox, and where to reach it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Forward {
    /// The port of this machine; any that is free for zero.
    pub(crate) local: u16,
    /// The port of the sandbox.
    pub(crate) port: NonZeroU16,
}

/// A word that is not what it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadWord {
    #[error("must be KEY=VALUE")]
    Pair,
    #[error("must be a count, or COUNT:TYPE such as 1:A100")]
    Gpu,
    #[error("must be a time such as 30s, 10m, 2h or 1h30m; a number alone means seconds")]
    Duration,
    #[error("must be a time such as 10m, or an instant such as 2026-01-31T12:00:00Z")]
    Instant,
    #[error("a path in a sandbox must be absolute: SANDBOX-ID:/PATH")]
    RelativePath,
    #[error("must be PORT, LOCAL:PORT or :PORT, each from 1 to 65535")]
    Forward,
}

impl FromStr for Pair {
    type Err = BadWord;

    fn from_str(text: &str) -> Result<Self, BadWord> {
        match text.split_once('=') {
            Some((key, value)) if !key.is_empty() => Ok(Self {
                key: key.to_owned(),
                value: value.to_owned(),
            }),
            Some(_) | None => Err(BadWord::Pair),
        }
    }
}

impl FromStr for Gpu {
    type Err = BadWord;

    fn from_str(text: &str) -> Result<Self, BadWord> {
        let (count, kind) = match text.split_once(':') {
            Some((_, "")) => return Err(BadWord::Gpu),
            Some((count, kind)) => (count, Some(kind.to_owned())),
            None => (text, None),
        };
        match count.parse() {
            Ok(count @ 1..) => Ok(Self { count, kind }),
            Ok(0) | Err(_) => Err(BadWord::Gpu),
        }
    }
}

/// Reads a duration as people write it.
pub(crate) fn read_duration(text: &str) -> Result<Duration, BadWord> {
    if let Ok(seconds) = text.parse()
        && text.bytes().all(|byte| byte.is_ascii_digit())
    {
        return Ok(Duration::from_secs(seconds));
    }
    let mut rest = text;
    let mut seconds = 0_u64;
    while !rest.is_empty() {
        let digits = rest.find(|sign: char| !sign.is_ascii_digit());
        let (number, after) = rest.split_at(digits.ok_or(BadWord::Duration)?);
        let number: u64 = number.parse().map_err(|_| BadWord::Duration)?;
        let unit = after.chars().next().ok_or(BadWord::Duration)?;
        let each = match unit {
            's' => 1,
            'm' => 60,
            'h' => 60 * 60,
            'd' => 24 * 60 * 60,
            _ => return Err(BadWord::Duration),
        };
        let part = number.checked_mul(each).ok_or(BadWord::Duration)?;
        seconds = seconds.checked_add(part).ok_or(BadWord::Duration)?;
        rest = &after[unit.len_utf8()..];
    }
    if text.is_empty() {
        return Err(BadWord::Duration);
    }
    Ok(Duration::from_secs(seconds))
}

impl FromStr for Instant {
    type Err = BadWord;

    fn from_str(text: &str) -> Result<Self, BadWord> {
        if let Ok(ago) = read_duration(text) {
            return Ok(Self::Ago(ago));
        }
        let at = timestamp::parse(text).map_err(|_| BadWord::Instant)?;
        Ok(Self::At(at))
    }
}

impl FromStr for Place {
    type Err = BadWord;

    /// What stands before a colon names a sandbox, unless it is a path itself:
    /// `./a:b` is a file.
    fn from_str(text: &str) -> Result<Self, BadWord> {
        match text.split_once(':') {
            Some((id, path)) if !id.is_empty() && !id.contains('/') => {
                if !path.starts_with('/') {
                    return Err(BadWord::RelativePath);
                }
                Ok(Self::There {
                    id: id.to_owned(),
                    path: path.to_owned(),
                })
            }
            Some(_) | None => Ok(Self::Here(PathBuf::from(text))),
        }
    }
}

impl FromStr for Forward {
    type Err = BadWord;

    fn from_str(text: &str) -> Result<Self, BadWord> {
        let number = |text: &str| -> Result<NonZeroU16, BadWord> {
            let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
            let number = text.parse().ok().filter(|_| is_number);
            number.ok_or(BadWord::Forward)
        };
        let (local, port) = match text.split_once(':') {
            Some(("", port)) => (0, number(port)?),
            Some((local, port)) => (number(local)?.get(), number(port)?),
            None => {
                let port = number(text)?;
                (port.get(), port)
            }
        };
        Ok(Self { local, port })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn forward(text: &str) -> Result<(u16, u16), BadWord> {
        let Forward { local, port } = text.parse()?;
        Ok((local, port.get()))
    }

    #[test]
    fn durations_have_units_or_are_seconds() {
        for (text, seconds) in [
            ("0", 0),
            ("90s", 90),
            ("90", 90),
            ("1h30m", 5_400),
            ("2d", 172_800),
        ] {
            assert_eq!(read_duration(text), Ok(Duration::from_secs(seconds)));
        }
        for text in [
            "",
            "m",
            "1m5",
            "1x",
            "-1s",
            "1.5h",
            "99999999999999999999s",
            "ü",
        ] {
            assert_eq!(read_duration(text), Err(BadWord::Duration), "{text}");
        }
    }

    #[test]
    fn a_log_begins_some_time_ago_or_at_an_instant() {
        assert_eq!("5m".parse(), Ok(Instant::Ago(Duration::from_mins(5))));
        let at = Timestamp::from_micros(1_798_113_600_000_000);
        let text = timestamp::format(at);
        assert_eq!(text.parse(), Ok(Instant::At(at)));
        assert_eq!("noon".parse::<Instant>(), Err(BadWord::Instant));
    }

    #[test]
    fn a_port_has_a_local_one() {
        assert_eq!(forward("80"), Ok((80, 80)));
        assert_eq!(forward("8080:80"), Ok((8080, 80)));
        assert_eq!(forward(":80"), Ok((0, 80)));
        for text in ["", "0", "80:", "0:80", "65536", "+80", "a", "1:2:3"] {
            assert_eq!(forward(text), Err(BadWord::Forward), "{text}");
        }
    }

    #[test]
    fn a_place_is_here_or_in_a_sandbox() {
        let there = |id: &str, path: &str| Place::There {
            id: id.to_owned(),
            path: path.to_owned(),
        };
        assert_eq!("x:/a:b".parse(), Ok(there("x", "/a:b")));
        for here in ["a", "/a", "./a:b", ":/a"] {
            assert_eq!(here.parse(), Ok(Place::Here(here.into())), "{here}");
        }
        assert_eq!("x:a".parse::<Place>(), Err(BadWord::RelativePath));
    }

    #[test]
    fn a_variable_keeps_its_value_to_itself() {
        let pair: Pair = "A=b=c".parse().unwrap();
        assert_eq!((pair.key.as_str(), pair.value.as_str()), ("A", "b=c"));
        assert_eq!(format!("{pair:?}"), "Pair(A)");
        assert_eq!("=b".parse::<Pair>(), Err(BadWord::Pair));
    }

    #[test]
    fn accelerators_are_a_count_and_a_type() {
        let gpu: Gpu = "2:A100".parse().unwrap();
        assert_eq!((gpu.count, gpu.kind.as_deref()), (2, Some("A100")));
        for text in ["", "0", "x", "1:"] {
            assert_eq!(text.parse::<Gpu>(), Err(BadWord::Gpu), "{text}");
        }
    }
}
