//! `cwic context`: the servers that there are logins for.

use std::collections::BTreeMap;
use std::process::ExitCode;

use serde_json::json;

use crate::cli::{ContextCommand, ListArgs, ListContextsArgs};
use crate::commands::Ended;
use crate::listing::{Item, Listing};
use crate::out::{Column, Out};
use crate::present::or_dash;
use crate::settings::Settings;

const COLUMNS: [Column; 4] = [
    Column::whole("CURRENT", 5),
    Column::name("NAME", 9),
    Column::soft("SERVER", 7),
    Column::whole("TOKEN", 3),
];

/// Picks the command.
pub(super) fn run(command: ContextCommand, mut settings: Settings, out: &mut Out) -> Ended {
    match command {
        ContextCommand::Ls(args) => list(args, &settings, out),
        ContextCommand::Use(args) => {
            settings.known_context(&args.name)?;
            settings.file.make_current(&args.name)?;
            out.note(format_args!("Context {} is used from now on.", args.name));
            Ok(ExitCode::SUCCESS)
        }
        ContextCommand::Rm(args) => {
            settings.known_context(&args.name)?;
            settings.file.remove(&args.name)?;
            out.note(format_args!(
                "Context {} is forgotten; the server still takes its token.",
                args.name
            ));
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn list(args: ListContextsArgs, settings: &Settings, out: &mut Out) -> Ended {
    let used = settings.context()?;
    let items = settings.file.names().into_iter().map(|name| {
        let login = settings.file.login(&name);
        let (is_used, has_token) = (name == used, login.token.is_some());
        // The token itself has no place here.
        let facts = json!({
            "name": name,
            "server": login.server,
            "hasToken": has_token,
            "isCurrent": is_used,
        });
        Item {
            cells: vec![
                if is_used { "*" } else { "" }.to_owned(),
                name.clone(),
                or_dash(&login.server.unwrap_or_default()),
                if has_token { "yes" } else { "no" }.to_owned(),
            ],
            name,
            answer: facts.clone(),
            document: facts,
            labels: BTreeMap::new(),
        }
    });
    let items: Vec<_> = items.collect();
    let args = ListArgs {
        output: args.output,
        selector: None,
        sort_by: None,
        no_headers: args.no_headers,
        watch: false,
    };
    let listing = Listing {
        columns: &COLUMNS,
        is_single: false,
        args: &args,
    };
    listing.write(&items, out);
    Ok(ExitCode::SUCCESS)
}
