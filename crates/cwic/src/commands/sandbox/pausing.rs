//! `cwic sandbox pause` and `resume`: each sandbox by itself. The server answers once
//! it is done.

use std::process::ExitCode;

use palisade_client::Sandboxes;

use crate::cli::PauseArgs;
use crate::commands::Ended;
use crate::commands::sandbox::failure::failed;
use crate::out::Out;
use crate::outcome::{Outcome, Report};

/// What is to become of sandboxes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// They freeze.
    Pause,
    /// They go on.
    Resume,
}

impl Wish {
    fn doing(self) -> &'static str {
        match self {
            Self::Pause => "pausing",
            Self::Resume => "resuming",
        }
    }

    fn done(self) -> &'static str {
        match self {
            Self::Pause => "paused",
            Self::Resume => "resumed",
        }
    }
}

/// Does it to all of them; the exit code is that of the first that refused.
pub(super) async fn run(
    wish: Wish,
    args: &PauseArgs,
    sandboxes: &Sandboxes,
    out: &mut Out,
) -> Ended {
    let mut report = Report::new(args.outcome.output);
    let mut first = None;
    for id in &args.ids {
        let asked = async {
            match wish {
                Wish::Pause => sandboxes.pause(id).await,
                Wish::Resume => sandboxes.resume(id).await,
            }
        };
        match out.during(&format!("{} {id}", wish.doing()), asked).await {
            Ok(()) => {
                let line = format!("sandbox {id} {}", wish.done());
                report.tell(Outcome::of("sandbox", id, wish.done()), line, out);
            }
            Err(error) => {
                let what = format!("sandbox {id} was not {}", wish.done());
                let failure = failed(&what, &error);
                report.fail(Outcome::of("sandbox", id, "refused"), &failure, out);
                first.get_or_insert(failure.exit());
            }
        }
    }
    report.finish(out);
    Ok(first.map_or(ExitCode::SUCCESS, ExitCode::from))
}
