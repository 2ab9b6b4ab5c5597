//! `cwic sandbox explain`: where a request would go, and what the others lack.
//!
//! Nothing is started. The answer is that of the code that places sandboxes, so
//! that a launch at the same moment would end the same.

use std::process::ExitCode;

use palisade_client::Client;
use palisade_wire::rest::{PlacementCandidate, PlacementExplanation, Verdict};

use crate::cli::ExplainRequestArgs;
use crate::commands::Ended;
use crate::error::{CliError, Exit};
use crate::input::{self, Kind};
use crate::out::Out;
use crate::present::{self, or_dash};

/// Runs the command.
pub(super) async fn run(args: &ExplainRequestArgs, client: &Client, out: &mut Out) -> Ended {
    let document = input::read_one(std::slice::from_ref(&args.file), Kind::StartRequest)?;
    let asked = client.explain_placement(&document.value);
    let explained = out.during("waiting for the server", asked).await;
    let explanation = explained.map_err(|error| {
        CliError::call_about("the request was not explained", &error, &document)
    })?;
    if !present::for_programs(&args.output.output, &explanation, out) {
        tell(&explanation, args.checks, out);
    }
    if explanation.is_admitted {
        Ok(ExitCode::SUCCESS)
    } else {
        Ok(Exit::Refused.into())
    }
}

fn tell(explanation: &PlacementExplanation, with_checks: bool, out: &mut Out) {
    if let Some(winner) = &explanation.winner {
        out.line(format_args!(
            "admitted: runner {}, profile {}, revision {}",
            winner.runner_id, winner.profile_name, winner.profile_revision
        ));
        let resources = &winner.resources;
        let cpu = (&resources.cpu_request, &resources.cpu_limit);
        let memory = (&resources.memory_request, &resources.memory_limit);
        for (name, value) in [
            ("image", winner.image.clone()),
            ("runtime", or_dash(&winner.runtime_class)),
            ("egress", winner.egress_mode.clone()),
            ("ingress", or_dash(&winner.ingress_mode)),
            ("cpu", amounts(cpu)),
            ("memory", amounts(memory)),
        ] {
            out.line(format_args!("  {name:<9}{value}"));
        }
    }
    if let Some(refusal) = &explanation.refusal {
        out.line(format_args!(
            "refused: {}: {}",
            refusal.reason, refusal.message
        ));
    }
    if explanation.candidates.is_empty() {
        return;
    }
    out.line("");
    let candidates = explanation.candidates.iter();
    let heading = [
        "RUNNER",
        "PROFILE",
        "RESULT",
        "CONSTRAINT",
        "ASKED",
        "ALLOWED",
        "WOULD FIT",
    ];
    out.table(heading, &candidates.map(row).collect::<Vec<_>>());
    if with_checks {
        checks(&explanation.candidates, out);
    }
}

fn amounts((request, limit): (&Option<String>, &Option<String>)) -> String {
    let text = |amount: &Option<String>| or_dash(amount.as_deref().unwrap_or_default());
    format!("{} set aside, {} at most", text(request), text(limit))
}

fn row(candidate: &PlacementCandidate) -> [String; 7] {
    let result = if candidate.is_winner {
        "chosen"
    } else if candidate.is_admissible {
        "would do"
    } else {
        "lacks"
    };
    let (constraint, asked, allowed) = match &candidate.first_unmet {
        Some(unmet) => (
            &unmet.constraint[..],
            &unmet.requested[..],
            &unmet.allowed[..],
        ),
        None => ("", "", ""),
    };
    let closest = candidate.closest.as_ref();
    let words = match (closest, candidate.is_admissible) {
        (Some(closest), _) => closest.words.as_str(),
        (None, true) => "",
        (None, false) => "no change of the request",
    };
    [
        candidate.runner_id.clone(),
        name(candidate),
        result.to_owned(),
        or_dash(constraint),
        or_dash(asked),
        or_dash(allowed),
        or_dash(words),
    ]
}

/// The profile, marked if it is the one for those who name none.
fn name(candidate: &PlacementCandidate) -> String {
    let mark = if candidate.is_default { "*" } else { "" };
    format!("{}{mark}", candidate.profile_name)
}

fn checks(candidates: &[PlacementCandidate], out: &mut Out) {
    out.line("");
    let mut rows = Vec::new();
    for candidate in candidates {
        for check in &candidate.checks {
            let verdict = match check.verdict {
                Verdict::Met => "met",
                Verdict::Unmet => "unmet",
                Verdict::Unknown => "unknown",
            };
            rows.push([
                candidate.runner_id.clone(),
                candidate.profile_name.clone(),
                check.constraint.clone(),
                verdict.to_owned(),
                or_dash(&check.requested),
                or_dash(&check.allowed),
            ]);
        }
    }
    let heading = [
        "RUNNER",
        "PROFILE",
        "CONSTRAINT",
        "VERDICT",
        "ASKED",
        "ALLOWED",
    ];
    out.table(heading, &rows);
}
