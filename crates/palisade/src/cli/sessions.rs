//! The options that say what is kept of commands whose clients were cut off.

use std::time::Duration;

use clap::Args;
use palisade_gateway::SessionLimits;

/// What is kept of commands whose clients were cut off.
#[derive(Args, Clone, Debug)]
pub(crate) struct SessionArgs {
    /// How long a command goes on without a client that was cut off and may come back; 0 ends it
    /// at once
    #[arg(
        long = "exec-kept",
        env = "PALISADE_EXEC_KEPT",
        value_name = "SECONDS",
        default_value_t = 30,
        value_parser = clap::value_parser!(u64).range(..=3600)
    )]
    kept: u64,
    /// How much output of each command is kept for a client that may not have got it; should be
    /// more than is on its way in a connection
    #[arg(
        long = "exec-window",
        env = "PALISADE_EXEC_WINDOW",
        value_name = "KIB",
        default_value_t = 4096,
        value_parser = clap::value_parser!(u32).range(64..=65_536)
    )]
    window: u32,
    /// How much output of all commands is kept so; one organization has half of it at most
    #[arg(
        long = "exec-memory",
        env = "PALISADE_EXEC_MEMORY",
        value_name = "MIB",
        default_value_t = 256,
        value_parser = clap::value_parser!(u32).range(1..=65_536)
    )]
    memory: u32,
}

impl SessionArgs {
    pub(crate) fn limits(&self) -> SessionLimits {
        let bytes = |count: u32, unit: usize| (count as usize).saturating_mul(unit);
        SessionLimits {
            kept: Duration::from_secs(self.kept),
            window_bytes: bytes(self.window, 1024),
            bytes_max: bytes(self.memory, 1024 * 1024),
            ..SessionLimits::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        sessions: SessionArgs,
    }

    fn read(words: &[&str]) -> Result<SessionLimits, clap::Error> {
        let words = ["palisade"].iter().chain(words);
        Line::try_parse_from(words).map(|line| line.sessions.limits())
    }

    #[test]
    fn what_is_not_given_is_as_the_gateway_has_it() {
        let (read, usual) = (read(&[]).unwrap(), SessionLimits::default());
        assert_eq!(format!("{read:?}"), format!("{usual:?}"));
    }

    #[test]
    fn what_is_given_is_taken_in_its_unit() {
        let words = ["--exec-kept=0", "--exec-window=64", "--exec-memory=1"];
        let limits = read(&words).unwrap();
        assert_eq!(limits.kept, Duration::ZERO);
        assert_eq!(limits.window_bytes, 64 << 10);
        assert_eq!(limits.bytes_max, 1 << 20);
        assert!(read(&["--exec-kept=3601"]).is_err());
        assert!(read(&["--exec-window=63"]).is_err());
    }
}
