//! Texts, numbers and instants that are valid by construction.
//!
//! Used by both directions and by the configuration. What users typed is never
//! shown by `Debug`: it may hold secrets.

use std::fmt;

use bytes::Bytes;

use crate::frame::DATA_BYTES_MAX;

/// An instant, in microseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct UnixMicros(pub i64);

/// A value is not what it should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// There is no program.
    #[error("the command is empty")]
    NoCommand,
    /// The kernel takes no zero byte in an argument, a variable or a path.
    #[error("{what} contains a zero byte")]
    ZeroByte {
        /// Where it is.
        what: &'static str,
    },
    /// A variable has no name, or an equals sign in it.
    #[error("the name of a variable is empty or contains '='")]
    VariableName,
    /// A path is not absolute.
    #[error("a path does not start with '/'")]
    NotAbsolute,
    /// A path is longer than any that the kernel takes.
    #[error(
        "a path has {len} bytes, at most {} are allowed",
        AbsolutePath::LEN_MAX
    )]
    PathTooLong {
        /// How long it is.
        len: usize,
    },
    /// A number names no signal.
    #[error("{number} is not a signal between 1 and 31")]
    Signal {
        /// The number.
        number: i64,
    },
    /// A terminal is larger than the kernel can say.
    #[error("a terminal has at most 65535 columns and rows")]
    TerminalSize,
    /// There are more bytes than one frame may carry.
    #[error("{len} bytes in one frame, at most {DATA_BYTES_MAX} are allowed")]
    TooMuchData {
        /// How many.
        len: usize,
    },
    /// A number is not one of those that it can be.
    #[error("{what} is out of range")]
    OutOfRange {
        /// Which one.
        what: &'static str,
    },
    /// A part that must be there is not.
    #[error("{what} is missing")]
    Missing {
        /// Which one.
        what: &'static str,
    },
}

/// A program and its arguments.
#[derive(Clone, PartialEq, Eq)]
pub struct Command(Vec<String>);

impl Command {
    /// Takes a program and its arguments.
    pub fn new(words: Vec<String>) -> Result<Self, Invalid> {
        if words.is_empty() {
            return Err(Invalid::NoCommand);
        }
        for word in &words {
            no_zero_byte(word, "the command")?;
        }
        Ok(Self(words))
    }

    /// The program and its arguments; at least one word.
    pub fn words(&self) -> &[String] {
        &self.0
    }

    /// The program and its arguments; at least one word.
    pub fn into_words(self) -> Vec<String> {
        self.0
    }
}

impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Command({} words)", self.0.len())
    }
}

/// A variable of an environment.
#[derive(Clone, PartialEq, Eq)]
pub struct Variable {
    name: String,
    value: String,
}

impl Variable {
    /// Takes a name and a value.
    pub fn new(name: String, value: String) -> Result<Self, Invalid> {
        no_zero_byte(&name, "the name of a variable")?;
        no_zero_byte(&value, "the value of a variable")?;
        if name.is_empty() || name.contains('=') {
            return Err(Invalid::VariableName);
        }
        Ok(Self { name, value })
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The value.
    pub fn value(&self) -> &str {
        &self.value
    }

    /// The name and the value.
    pub fn into_parts(self) -> (String, String) {
        (self.name, self.value)
    }
}

impl fmt::Debug for Variable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Variable({})", self.name)
    }
}

/// A path that starts at the root of the sandbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AbsolutePath(String);

impl AbsolutePath {
    /// The most bytes that a path has.
    pub const LEN_MAX: usize = 4095;

    /// Takes a path.
    pub fn new(path: String) -> Result<Self, Invalid> {
        no_zero_byte(&path, "a path")?;
        if !path.starts_with('/') {
            return Err(Invalid::NotAbsolute);
        }
        if path.len() > Self::LEN_MAX {
            return Err(Invalid::PathTooLong { len: path.len() });
        }
        Ok(Self(path))
    }

    /// The path.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The path.
    pub fn into_string(self) -> String {
        self.0
    }
}

/// A user as an image names it: `user`, `uid`, `user:group` or `uid:gid`; empty
/// means root.
///
/// What it stands for is found out inside, from `/etc/passwd` and `/etc/group`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserName(String);

impl UserName {
    /// Takes a user.
    pub fn new(name: String) -> Result<Self, Invalid> {
        no_zero_byte(&name, "a user")?;
        Ok(Self(name))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The text.
    pub fn into_string(self) -> String {
        self.0
    }
}

/// The number of a signal, 1 to 31.
///
/// Real-time signals are left out: nothing that ends a process in an orderly
/// way uses them but a system manager, and that is not what runs in here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SignalNumber(u8);

impl SignalNumber {
    /// Asks to end.
    pub const TERM: Self = Self(15);
    /// Ends.
    pub const KILL: Self = Self(9);

    /// Takes a number.
    pub fn new(number: i64) -> Result<Self, Invalid> {
        match u8::try_from(number) {
            Ok(signal @ 1..=31) => Ok(Self(signal)),
            Ok(_) | Err(_) => Err(Invalid::Signal { number }),
        }
    }

    /// The number.
    pub const fn get(self) -> u8 {
        self.0
    }
}

/// The size of a terminal, in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TerminalSize {
    /// How wide.
    pub columns: u16,
    /// How high.
    pub rows: u16,
}

/// Bytes of input, output or a file, few enough for one frame.
#[derive(Clone, PartialEq, Eq)]
pub struct Data(Bytes);

impl Data {
    /// Takes as many bytes as a frame may carry off the front of `bytes`.
    ///
    /// `None` once nothing is left.
    pub fn split_from(bytes: &mut Bytes) -> Option<Self> {
        let len = bytes.len().min(DATA_BYTES_MAX);
        (len > 0).then(|| Self(bytes.split_to(len)))
    }

    /// Takes bytes as they came; more than a frame may carry are refused.
    pub fn new(bytes: Bytes) -> Result<Self, Invalid> {
        if bytes.len() > DATA_BYTES_MAX {
            return Err(Invalid::TooMuchData { len: bytes.len() });
        }
        Ok(Self(bytes))
    }

    /// The bytes.
    pub fn bytes(&self) -> &Bytes {
        &self.0
    }

    /// The bytes.
    pub fn into_bytes(self) -> Bytes {
        self.0
    }
}

impl fmt::Debug for Data {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Data({} bytes)", self.0.len())
    }
}

/// Why something went wrong, in words for a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason(String);

impl Reason {
    /// The most bytes that a reason has; the rest is cut off.
    pub const LEN_MAX: usize = 4096;

    /// Takes as much of a text as a reason may have.
    pub fn new(text: impl Into<String>) -> Self {
        let mut text = text.into();
        text.truncate(text.floor_char_boundary(Self::LEN_MAX));
        Self(text)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The text.
    pub fn into_string(self) -> String {
        self.0
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One of the two streams that a process writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Standard output, or a terminal.
    Stdout,
    /// Standard error.
    Stderr,
}

fn no_zero_byte(text: &str, what: &'static str) -> Result<(), Invalid> {
    if text.contains('\0') {
        Err(Invalid::ZeroByte { what })
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_has_a_program_and_no_zero_bytes() {
        assert_eq!(Command::new(Vec::new()), Err(Invalid::NoCommand));
        let zero = Command::new(vec!["echo".into(), "a\0b".into()]);
        assert_eq!(
            zero,
            Err(Invalid::ZeroByte {
                what: "the command"
            })
        );
        assert!(Command::new(vec![String::new()]).is_ok());
    }

    #[test]
    fn a_variable_has_a_name_that_the_kernel_can_carry() {
        let named = |name: &str| Variable::new(name.into(), "v=w".into());
        assert!(named("A").is_ok());
        assert_eq!(named(""), Err(Invalid::VariableName));
        assert_eq!(named("A=B"), Err(Invalid::VariableName));
        assert!(named("A\0").is_err());
    }

    #[test]
    fn a_path_starts_at_the_root_and_is_not_too_long() {
        assert!(AbsolutePath::new("/".into()).is_ok());
        assert_eq!(AbsolutePath::new("a".into()), Err(Invalid::NotAbsolute));
        assert_eq!(AbsolutePath::new(String::new()), Err(Invalid::NotAbsolute));
        let long = AbsolutePath::new("/".repeat(4096));
        assert_eq!(long, Err(Invalid::PathTooLong { len: 4096 }));
    }

    #[test]
    fn a_signal_is_one_of_the_named_ones() {
        assert_eq!(SignalNumber::new(15), Ok(SignalNumber::TERM));
        for number in [i64::MIN, -1, 0, 32, 64, 256 + 15, i64::MAX] {
            let refused = SignalNumber::new(number);
            assert_eq!(refused, Err(Invalid::Signal { number }));
        }
    }

    #[test]
    fn a_long_reason_is_cut_between_characters() {
        let reason = Reason::new("ä".repeat(Reason::LEN_MAX));
        assert_eq!(reason.as_str(), "ä".repeat(Reason::LEN_MAX / 2));
        assert_eq!(
            Reason::new(format!("a{}", "ä".repeat(4096))).as_str().len(),
            4095
        );
    }

    #[test]
    fn bytes_are_cut_into_what_frames_may_carry() {
        let mut bytes = Bytes::from(vec![7; DATA_BYTES_MAX + 1]);
        assert!(Data::new(bytes.clone()).is_err());
        let lens: Vec<usize> = std::iter::from_fn(|| Data::split_from(&mut bytes))
            .map(|data| data.bytes().len())
            .collect();
        assert_eq!(lens, [DATA_BYTES_MAX, 1]);
    }

    #[test]
    fn nothing_that_a_user_typed_is_shown() {
        let command = Command::new(vec!["login".into(), "s3cret".into()]).unwrap();
        let variable = Variable::new("TOKEN".into(), "s3cret".into()).unwrap();
        assert!(!format!("{command:?} {variable:?}").contains("s3cret"));
    }
}
