//! `cwic sandbox profile create`: prints the id of each new profile.

use palisade_client::Client;

use crate::cli::CreateArgs;
use crate::commands::Ended;
use crate::commands::applying::{self, Wanted};
use crate::input::Kind;
use crate::out::Out;
use crate::outcome::Report;
use crate::wizard::{self, Wish};

/// Runs the command.
pub(in crate::commands) async fn run(args: &CreateArgs, client: &Client, out: &mut Out) -> Ended {
    if args.file.files.is_empty() {
        Report::new(args.outcome.output).check_file()?;
        let wish = Wish::of_new(args.file.dry_run, args.print_only);
        return wizard::create_profile(client, out, wish).await;
    }
    let wanted = Wanted::of_new(args, Kind::NewProfile);
    applying::create(&wanted, client, out).await
}
