//! `cwic sandbox profile verify`: measures what a profile lets sandboxes reach,
//! and compares that with what it should.
//!
//! ```text
//! what is meant (model) ──► questions ──► asked inside of sandboxes ──► rows
//! ```
//!
//! Sandboxes are started under the profile, and everything is measured from
//! inside of them, whatever their backend claims. What should come of it is
//! decided by the model, from what the runner says lies around it: the policy
//! that it enforces is made by the same functions. Invariant: what was started is
//! removed on every way out.

mod asking;
mod crew;
mod judge;
mod levy;
mod outside;
mod peers;
mod plan;
mod report;
mod table;
mod targets;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::num::NonZeroU16;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use palisade_client::{Client, RunnerFilter, Sandboxes, Server};
use palisade_init_protocol::probe::{Outcome, Probe, Reading};
use palisade_model::id::ProfileId;
use palisade_model::policy::Surroundings;
use palisade_model::profile::{EgressMode, ProfileSpec};
use palisade_model::runner::Feature;
use palisade_wire::rest::{ConnectionStatus, RunnerNetwork};

use super::signals::{Ending, Signals};
use crate::cli::{ReportFormat, Secret, VerifyProfileArgs};
use crate::commands::Ended;
use crate::error::{CliError, Exit};
use crate::out::Out;
use crate::present::printable;
use crate::settings::Settings;

use crew::{Crew, NoMember};
use levy::Levy;
use peers::Peer;
use plan::Ground;
use table::{Question, Row, Table};

/// The longest token file.
const TOKEN_BYTES_MAX: u64 = 4096;

/// Everything that it takes to measure.
struct Survey {
    own: Sandboxes,
    other_user: Option<Sandboxes>,
    other_organization: Option<Sandboxes>,
    ground: Ground,
    spec: ProfileSpec,
    here: Surroundings,
    /// Why sandboxes have no names there, if they have none.
    no_names: Option<String>,
    server_port: Option<NonZeroU16>,
}

/// A peer that is asked, under the name of its egress mode.
struct Caller {
    mode: String,
    peer: Peer,
}

/// What came of the attempt.
enum Measured {
    Table(Table),
    Ended(Ending),
}

/// Measures, and tells what was measured.
pub(in crate::commands) async fn run(
    args: &VerifyProfileArgs,
    settings: &Settings,
    out: &mut Out,
) -> Ended {
    let client = settings.client()?;
    let runner = choose_runner(args, &client).await?;
    let network = client.get_runner_network(&runner, &args.profile).await;
    let network = network.map_err(|error| {
        let what = format!("what profile {} should allow is not known", args.profile);
        CliError::call(&what, &error)
    })?;
    let survey = Survey::new(args, settings, &client, &network)?;
    let mut signals = Signals::listen()?;
    let mut crew = Crew::default();
    let measured = survey.measure(&mut crew, &mut signals, out).await;
    let left = crew.leave(&mut signals).await;
    match measured? {
        Measured::Ended(ending) => left.map(|()| ending.exit_code()),
        Measured::Table(table) => {
            match args.output {
                ReportFormat::Table => report::print(&table, out),
                ReportFormat::Json => {
                    out.json(&report::json(&args.profile, &network.runner_id, &table));
                }
            }
            left?;
            Ok(match table.mismatches() {
                0 => ExitCode::SUCCESS,
                _ => Exit::Refused.into(),
            })
        }
    }
}

/// The runner that was named, or the only one that can be meant.
async fn choose_runner(args: &VerifyProfileArgs, client: &Client) -> Result<String, CliError> {
    if let Some(runner) = &args.runner {
        return Ok(runner.clone());
    }
    let what = "no runner was chosen";
    let runners = client.list_runners(&RunnerFilter::default()).await;
    let runners = runners.map_err(|error| CliError::call(what, &error))?;
    // A name that is no profile's may still be that of a binding.
    let profile = client.get_profile(&args.profile).await.ok();
    let id = profile.map(|profile| profile.id).unwrap_or_default();
    let binds = |runner: &palisade_wire::rest::Runner| {
        let mut bindings = runner.profile_bindings.iter();
        bindings.any(|it| it.profile_template_id == id || it.profile_name == args.profile)
    };
    let connected = runners
        .into_iter()
        .filter(|runner| runner.connection_status == ConnectionStatus::Connected && binds(runner))
        .map(|runner| runner.identity.runner_id);
    let connected: Vec<String> = connected.collect();
    match connected.as_slice() {
        [only] => Ok(only.clone()),
        [] => Err(CliError::new(Exit::NotFound, what)
            .because(format!(
                "no connected runner binds profile {}",
                args.profile
            ))
            .next("look at them: cwic sandbox runner ls")),
        [..] => Err(CliError::new(Exit::Usage, what)
            .because(format!(
                "several bind the profile: {}",
                connected.join(", ")
            ))
            .next("say which: --runner RUNNER-ID")),
    }
}

impl Survey {
    fn new(
        args: &VerifyProfileArgs,
        settings: &Settings,
        client: &Client,
        network: &RunnerNetwork,
    ) -> Result<Self, CliError> {
        let (server, _) = settings.server()?;
        let other = |file: &Option<PathBuf>| {
            let Some(file) = file else { return Ok(None) };
            let token = token(file)?;
            let client = settings.client_for(server.clone(), &token)?;
            calls(&client).map(Some)
        };
        let not_understood = |why: String| {
            let what = "what the server says of the runner is not understood";
            let error = CliError::new(Exit::Failure, what).because(why);
            error.next("use cwic in the version of the server")
        };
        let spec = network.spec();
        let here = Surroundings::try_from(&network.surroundings);
        let profile: Result<ProfileId, _> = network.profile_template_id.parse();
        Ok(Self {
            own: calls(client)?,
            other_user: other(&args.other_user_token_file)?,
            other_organization: other(&args.other_organization_token_file)?,
            ground: Ground {
                runner: network.runner_id.clone(),
                profile: profile.map_err(|error| not_understood(error.to_string()))?,
                image: args.image.clone(),
            },
            spec: spec.map_err(|error| not_understood(error.to_string()))?,
            here: here.map_err(|error| not_understood(error.to_string()))?,
            no_names: network.lacks.get(Feature::Names.as_str()).cloned(),
            server_port: port_of(&server),
        })
    }

    /// Starts what it takes, and asks. Whatever was started is in the crew.
    async fn measure(
        &self,
        crew: &mut Crew,
        signals: &mut Signals,
        out: &mut Out,
    ) -> Result<Measured, CliError> {
        let mut levy = Levy {
            survey: self,
            crew,
            signals,
            table: Table::default(),
        };
        let started = levy.start(out).await;
        let Levy { signals, table, .. } = levy;
        let (callers, others) = match started {
            Ok(started) => started,
            Err(NoMember::Ended(ending)) => return Ok(Measured::Ended(ending)),
            Err(NoMember::Failed(error)) => return Err(error),
            Err(NoMember::Refused(reason)) => {
                let error = CliError::new(Exit::Refused, "no probe sandbox was started");
                let next = "a profile that names no image needs one: --image IMAGE";
                let error = error.because(reason);
                return Err(match self.ground.image {
                    Some(_) => error,
                    None => error.next(next),
                });
            }
        };
        tokio::select! {
            table = self.ask(&callers, &others, table) => table.map(Measured::Table),
            ending = signals.next() => Ok(Measured::Ended(ending)),
        }
    }

    /// Asks every caller about everything.
    async fn ask(
        &self,
        callers: &[Caller],
        others: &[Peer],
        mut table: Table,
    ) -> Result<Table, CliError> {
        let all = || callers.iter().map(|caller| &caller.peer).chain(others);
        let sandboxes: BTreeSet<IpAddr> = all().flat_map(Peer::addresses).collect();
        for caller in callers {
            let mode = &caller.peer.standing.egress;
            if let EgressMode::Allowlist(ranges) = mode
                && ranges.len() > targets::RANGES_MAX
            {
                let most = targets::RANGES_MAX;
                let what = format!("egress mode {}, ranges after the first {most}", caller.mode);
                table.omit(what, "their edges would be too many probes");
            }
            let mut questions = targets::questions(&targets::View {
                mode,
                here: &self.here,
                seen: &caller.peer.seen,
                server_port: self.server_port,
                sandboxes: &sandboxes,
            });
            for other in all().filter(|other| other.id != caller.peer.id) {
                questions.extend(caller.peer.questions(other, &self.here));
            }
            if let Some(why) = &self.no_names {
                questions.retain(|question| !judge::is_of_sandbox(&question.probe));
                table.omit("names of sandboxes", printable(why));
            }
            let rows = interview(&self.own, caller, questions).await?;
            table.rows.extend(rows);
        }
        table.rows.extend(outside::look(all()).await);
        Ok(table)
    }
}

/// Asks one sandbox, and compares.
async fn interview(
    sandboxes: &Sandboxes,
    caller: &Caller,
    questions: Vec<Question>,
) -> Result<Vec<Row>, CliError> {
    let probes: Vec<&Probe> = questions.iter().map(|question| &question.probe).collect();
    let heard = asking::ask(sandboxes, &caller.peer.id, &probes).await?;
    let rows = questions.into_iter().map(|question| {
        let probe = &question.probe;
        let nothing = || Reading::new(probe.clone(), Outcome::Failed, "it was not answered");
        let reading = heard.get(probe).cloned().unwrap_or_else(nothing);
        let datagram = match probe {
            Probe::Tcp(host, port) => heard.get(&Probe::Udp(*host, *port)),
            Probe::Udp(..) | Probe::Icmp(_) | Probe::Dns(..) => None,
        };
        let datagram = datagram.map(|reading| reading.outcome);
        let judgement = judge::judge(&question, reading.outcome, datagram);
        Row::new(&caller.mode, question, reading, judgement)
    });
    Ok(rows.collect())
}

fn calls(client: &Client) -> Result<Sandboxes, CliError> {
    client.sandboxes().map_err(|error| {
        CliError::new(Exit::Usage, "no call can be made").because(error.to_string())
    })
}

/// A token out of a file, as few bytes as one has.
fn token(file: &Path) -> Result<Secret, CliError> {
    use std::io::Read as _;
    let what = format!("no token was read from {}", file.display());
    let read = || -> std::io::Result<String> {
        let mut text = String::new();
        let file = std::fs::File::open(file)?;
        file.take(TOKEN_BYTES_MAX).read_to_string(&mut text)?;
        Ok(text)
    };
    let text = read()
        .map_err(|error| CliError::new(Exit::Usage, what.clone()).because(error.to_string()))?;
    match text.trim() {
        "" => Err(CliError::new(Exit::Usage, what).because("the file is empty")),
        text => Ok(Secret::from(text)),
    }
}

/// The port that the server listens on.
fn port_of(server: &Server) -> Option<NonZeroU16> {
    let text = server.to_string();
    let text = text.trim_end_matches('/');
    let said = text
        .rsplit_once(':')
        .and_then(|(_, port)| port.parse().ok());
    let usual = if server.is_encrypted() { 443 } else { 80 };
    said.or(NonZeroU16::new(usual))
}
