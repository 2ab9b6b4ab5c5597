//! `cwic auth status`: which server is used, and whether its token works.

use std::process::ExitCode;

use serde_json::json;

use crate::cli::AnswerArgs;
use crate::commands::Ended;
use crate::out::Out;
use crate::present::write_facts;
use crate::settings::Settings;

/// Runs the command.
pub(in crate::commands) async fn run(
    args: &AnswerArgs,
    settings: &Settings,
    out: &mut Out,
) -> Ended {
    let (server, server_from) = settings.server()?;
    let (_, token_from) = settings.token(&server)?;
    let client = settings.client()?;
    let work = super::check(&client, "the token does not work");
    let checked = out.during("checking the token", work).await;
    let context = settings.context()?;
    let facts = json!({
        "context": context,
        "server": server.to_string(),
        "serverFrom": server_from.as_str(),
        "tokenFrom": token_from.as_str(),
        "tokenWorks": checked.is_ok(),
    });
    let (server_from, token_from) = (server_from.for_people(), token_from.for_people());
    let mut lines = vec![
        ("context", context),
        ("server", format!("{server} ({server_from})")),
    ];
    if checked.is_ok() {
        lines.push(("token", format!("works ({token_from})")));
    }
    write_facts(&lines, &facts, &args.output, out);
    checked.map(|()| ExitCode::SUCCESS)
}
