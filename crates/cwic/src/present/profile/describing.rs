//! A profile and who offers it, as a person thinks of them.

use palisade_wire::rest::{ConnectionStatus, ProfileTemplate, Runner};

use super::{document, yes_or_no};
use crate::out::Out;
use crate::present::runner::connection;
use crate::present::{block, minute, or_dash, pairs};

/// Tells of a profile and who offers it.
pub(crate) fn describe(profile: &ProfileTemplate, runners: &[Runner], out: &mut Out) {
    let facts = [
        ("Name", profile.display_name.clone()),
        ("Id", profile.id.clone()),
        ("Description", or_dash(&profile.description)),
        ("Labels", pairs(&profile.labels)),
        ("Revision", profile.revision.to_string()),
        ("Created", minute(&profile.created_at)),
        ("Updated", minute(&profile.updated_at)),
    ];
    for (name, value) in facts {
        out.line(format_args!("{name:<13}{value}"));
    }
    out.line("\nGuardrails:");
    let spec = document(profile).get("spec").cloned().unwrap_or_default();
    if spec.is_null() {
        out.line("  everything is inherited from the runner");
    } else {
        block(&palisade_wire::document::to_yaml(&spec), out);
    }
    describe_offers(&offers(profile, runners), out);
}

/// A runner that offers the profile, and how.
struct Offer<'a> {
    runner: &'a Runner,
    alias: &'a str,
    is_default: bool,
    overrides: &'a str,
}

fn offers<'a>(profile: &'a ProfileTemplate, runners: &'a [Runner]) -> Vec<Offer<'a>> {
    let offers = runners.iter().flat_map(|runner| {
        let bindings = runner.profile_bindings.iter();
        let bindings = bindings.filter(|binding| binding.profile_template_id == profile.id);
        bindings.map(move |binding| Offer {
            runner,
            alias: match binding.profile_name.as_str() {
                "" => &profile.display_name,
                alias => alias,
            },
            is_default: binding.is_default,
            overrides: &binding.overrides_json,
        })
    });
    offers.collect()
}

fn describe_offers(offers: &[Offer<'_>], out: &mut Out) {
    if offers.is_empty() {
        out.line("\nNo runner offers it: cwic sandbox runner edit RUNNER-ID -f FILE");
        return;
    }
    let rows: Vec<_> = offers
        .iter()
        .map(|offer| {
            [
                format!("  {}", offer.runner.identity.runner_id),
                offer.alias.to_owned(),
                yes_or_no(offer.is_default),
                connection(offer.runner.connection_status).to_owned(),
                or_dash(offer.overrides),
            ]
        })
        .collect();
    out.line("\nOffered by:");
    out.table(["  RUNNER", "AS", "DEFAULT", "CONN", "OVERRIDES"], &rows);
    if offers.iter().all(|offer| is_away(offer.runner)) {
        out.line("  None of them is connected: no sandbox can be started with it now");
    }
}

fn is_away(runner: &Runner) -> bool {
    match runner.connection_status {
        ConnectionStatus::Connected => false,
        ConnectionStatus::Disconnected | ConnectionStatus::Unknown => true,
    }
}
