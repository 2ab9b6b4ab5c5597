//! What a simulated process does, as a command line.

use crate::conformance::Job;

/// One thing that a simulated process does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Act {
    /// Print to standard output.
    Out(String),
    /// Print to standard error.
    Err(String),
    /// Print this many bytes.
    Bytes(u64),
    /// Copy input to output.
    Cat,
    /// Print the environment.
    Environment,
    /// Listen at this port, and say everything back.
    Echo(u16),
    /// Run until asked to end.
    UntilStopped,
    /// Run until killed.
    IgnoreStop,
    /// End with this code.
    Exit(i32),
}

/// The command line that makes the fake do a job.
pub fn command(job: &Job) -> Vec<String> {
    let words = match job {
        Job::RunUntilStopped => "until-stopped".to_owned(),
        Job::IgnoreStop => "ignore-stop".to_owned(),
        Job::ExitWith(code) => format!("exit {code}"),
        Job::PrintLines(count) => format!("lines {count} until-stopped"),
        Job::PrintLinesAndExit(count) => format!("lines {count} exit 0"),
        Job::Cat => "cat exit 0".to_owned(),
        Job::PrintBoth(code) => format!("both exit {code}"),
        Job::PrintBytes(count) => format!("bytes {count} exit 0"),
        Job::NoSuchProgram => "exit 127".to_owned(),
        Job::KillSelf => "exit 137".to_owned(),
        Job::Echo(port) => format!("echo {port} until-stopped"),
    };
    std::iter::once("fake")
        .chain(words.split(' '))
        .map(str::to_owned)
        .collect()
}

/// What a command line makes the fake do. Other programs run until stopped, so
/// that commands of real clients do something sensible.
pub(super) fn acts(command: &[String]) -> Vec<Act> {
    let mut words = command.iter().map(String::as_str);
    match words.next() {
        Some("fake") => {}
        Some("env") => return vec![Act::Environment, Act::Exit(0)],
        Some("true") => return vec![Act::Exit(0)],
        Some("echo") => {
            let text = words.collect::<Vec<_>>().join(" ");
            return vec![Act::Out(format!("{text}\n")), Act::Exit(0)];
        }
        Some(_) | None => return vec![Act::UntilStopped],
    }
    let mut acts = Vec::new();
    while let Some(word) = words.next() {
        match word {
            "until-stopped" => acts.push(Act::UntilStopped),
            "ignore-stop" => acts.push(Act::IgnoreStop),
            "cat" => acts.push(Act::Cat),
            "both" => acts.extend([Act::Out("out\n".into()), Act::Err("err\n".into())]),
            "echo" => acts.push(Act::Echo(number(words.next()))),
            "exit" => acts.push(Act::Exit(number(words.next()))),
            "bytes" => acts.push(Act::Bytes(number(words.next()))),
            "lines" => {
                let count: u32 = number(words.next());
                acts.extend((0..count).map(|line| Act::Out(format!("line {line}\n"))));
            }
            _ => acts.push(Act::Exit(2)),
        }
    }
    acts
}

fn number<T: std::str::FromStr + Default>(word: Option<&str>) -> T {
    word.and_then(|word| word.parse().ok()).unwrap_or_default()
}

/// A count that fits into memory, whatever a command line said.
pub(super) fn bounded(count: u64) -> usize {
    usize::try_from(count.min(64 << 20)).unwrap_or(0)
}
