//! `cwic sandbox profile explain`: every field of a profile on a runner, and the
//! layer that it came from.

use std::process::ExitCode;

use palisade_client::Client;
use palisade_wire::rest::{FieldLayer, ResolvedField};

use crate::cli::ExplainProfileArgs;
use crate::commands::Ended;
use crate::error::CliError;
use crate::out::Out;
use crate::present;

/// Runs the command.
pub(in crate::commands) async fn run(
    args: &ExplainProfileArgs,
    client: &Client,
    out: &mut Out,
) -> Ended {
    let ExplainProfileArgs {
        profile,
        runner,
        output,
    } = args;
    let resolved = out
        .during(
            "waiting for the server",
            client.resolved_profile(profile, runner),
        )
        .await;
    let resolved = resolved.map_err(|error| {
        let what = format!("profile {profile} was not explained on runner {runner}");
        CliError::call(&what, &error)
    })?;
    if !present::for_programs(&output.output, &resolved, out) {
        let rows = resolved.fields.iter().map(row).collect::<Vec<_>>();
        out.table(["FIELD", "VALUE", "FROM", "SOURCE"], &rows);
        if resolved.fields.iter().any(|field| field.is_request_default) {
            out.line("\n* a request may choose otherwise");
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn row(field: &ResolvedField) -> [String; 4] {
    let layer = match field.layer {
        FieldLayer::BuiltIn => "built-in",
        FieldLayer::Runner => "runner",
        FieldLayer::ZoneDefaults => "zone defaults",
        FieldLayer::Profile => "profile",
        FieldLayer::Binding => "binding",
        FieldLayer::Request => "request",
    };
    let text = field.value.as_str().map(str::to_owned);
    let value = text.unwrap_or_else(|| field.value.to_string());
    let mark = if field.is_request_default { "*" } else { "" };
    [
        format!("{}{mark}", field.path),
        value,
        layer.to_owned(),
        field.source.clone(),
    ]
}
