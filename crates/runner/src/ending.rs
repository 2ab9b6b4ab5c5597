//! How the main process of a sandbox ended, in words for people.
//!
//! What a backend says has precedence; this is for the ends of which it tells
//! no more than the exit code. Nothing is said that is not known: from the code
//! alone nobody can tell a signal from a program that exits as if there was one.

use palisade_model::sandbox::Exit;

/// The exit of a process that was killed.
const KILLED: Exit = Exit(137);

/// What is known of the end of a main process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ending {
    pub(crate) exit: Option<Exit>,
    /// Whether it ended because it was asked to.
    pub(crate) stopped: bool,
    /// Whether it was to have ended by then.
    pub(crate) is_overdue: bool,
}

impl Ending {
    /// The sentence.
    pub(crate) fn words(self) -> String {
        let how = match self.exit {
            Some(KILLED) if self.stopped && self.is_overdue => {
                "the main process did not end within its grace and was killed".to_owned()
            }
            Some(exit) => format!("the main process ended with {}", code(exit)),
            None => "how the main process ended is not known".to_owned(),
        };
        if self.stopped {
            format!("stopped on request; {how}")
        } else {
            how
        }
    }
}

fn code(Exit(code): Exit) -> String {
    match signal(code) {
        Some(name) => format!(
            "exit code {code}, that of a process killed by signal {} ({name})",
            code - 128
        ),
        None => format!("exit code {code}"),
    }
}

/// The signal that an exit code stands for, of those that end processes.
fn signal(code: i32) -> Option<&'static str> {
    let name = match code.checked_sub(128)? {
        1 => "SIGHUP",
        2 => "SIGINT",
        3 => "SIGQUIT",
        4 => "SIGILL",
        5 => "SIGTRAP",
        6 => "SIGABRT",
        7 => "SIGBUS",
        8 => "SIGFPE",
        9 => "SIGKILL",
        10 => "SIGUSR1",
        11 => "SIGSEGV",
        12 => "SIGUSR2",
        13 => "SIGPIPE",
        14 => "SIGALRM",
        15 => "SIGTERM",
        24 => "SIGXCPU",
        25 => "SIGXFSZ",
        31 => "SIGSYS",
        _ => return None,
    };
    Some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(exit: Option<i32>, stopped: bool, is_overdue: bool) -> String {
        let exit = exit.map(Exit);
        Ending {
            exit,
            stopped,
            is_overdue,
        }
        .words()
    }

    #[test]
    fn an_end_is_told_as_far_as_it_is_known() {
        let killed = "the main process ended with exit code 137, that of a process killed by \
                      signal 9 (SIGKILL)";
        for (said, expected) in [
            (
                words(Some(0), false, false),
                "the main process ended with exit code 0",
            ),
            (
                words(Some(200), false, false),
                "the main process ended with exit code 200",
            ),
            (words(Some(137), false, true), killed),
            (
                words(Some(137), true, false),
                &format!("stopped on request; {killed}"),
            ),
            (
                words(Some(137), true, true),
                "stopped on request; the main process did not end within its grace and was killed",
            ),
            (
                words(Some(0), true, true),
                "stopped on request; the main process ended with exit code 0",
            ),
            (
                words(None, true, false),
                "stopped on request; how the main process ended is not known",
            ),
            (
                words(Some(i32::MIN), false, false),
                "the main process ended with exit code -2147483648",
            ),
        ] {
            assert_eq!(said, expected);
        }
    }
}
