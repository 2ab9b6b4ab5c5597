//! Starts the sandboxes of one run, and finds out what each sees of its network.
//!
//! What is refused is no failure: the table says what was not measured, and why.
//! A level that is refused leaves a sandbox without one; an egress mode that is
//! refused leaves it out.

use std::net::IpAddr;
use std::time::Duration;

use palisade_client::Sandboxes;
use palisade_init_protocol::probe::{Door, Outcome, Probe, Sight};
use tokio::time::{self, Instant};

use super::super::signals::Signals;
use super::crew::{self, Crew, NoMember};
use super::peers::{self, Peer, Service};
use super::plan::{self, Kin, Post};
use super::table::Table;
use super::{Caller, Survey, asking};
use crate::error::{CliError, Exit};
use crate::out::Out;

/// How long a program that runs may take until it listens.
const LISTEN_LIMIT: Duration = Duration::from_secs(30);
/// How soon it is looked at again.
const LISTEN_PAUSE: Duration = Duration::from_millis(100);

/// The sandboxes of one run while they are started.
pub(super) struct Levy<'a> {
    pub(super) survey: &'a Survey,
    pub(super) crew: &'a mut Crew,
    pub(super) signals: &'a mut Signals,
    /// Says what is refused, and so not measured.
    pub(super) table: Table,
}

impl Levy<'_> {
    /// Those that are asked, and those that are only asked about.
    pub(super) async fn start(
        &mut self,
        out: &mut Out,
    ) -> Result<(Vec<Caller>, Vec<Peer>), NoMember> {
        let (mut callers, mut others) = (Vec::new(), Vec::new());
        let posts = plan::posts(&self.survey.spec);
        let (count, runner) = (posts.len(), &self.survey.ground.runner);
        out.note(format_args!(
            "starting {count} probe sandboxes on runner {runner}"
        ));
        for post in &posts {
            match self.man(post, Kin::Own, &self.survey.own).await? {
                Some(peer) if post.asks => callers.push(Caller {
                    mode: post.egress.0.to_string(),
                    peer,
                }),
                Some(peer) => others.push(peer),
                None => {}
            }
        }
        if callers.is_empty() {
            let first = self.table.omissions.last();
            let why = first.map(|omission| omission.why.clone());
            return Err(NoMember::Refused(why.unwrap_or_default()));
        }
        for (kin, sandboxes, flag) in [
            (
                Kin::OtherUser,
                &self.survey.other_user,
                "--other-user-token-file",
            ),
            (
                Kin::OtherOrganization,
                &self.survey.other_organization,
                "--other-organization-token-file",
            ),
        ] {
            match (sandboxes, posts.first()) {
                (Some(sandboxes), Some(post)) => {
                    others.extend(self.man(post, kin, sandboxes).await?);
                }
                (None, _) | (_, None) => self.table.omit(kin.word(), format!("give {flag}")),
            }
        }
        Ok((callers, others))
    }

    /// Starts one sandbox; without its level, if that is refused. `None` if it is
    /// refused altogether, which the table then says.
    async fn man(
        &mut self,
        post: &Post,
        kin: Kin,
        sandboxes: &Sandboxes,
    ) -> Result<Option<Peer>, NoMember> {
        let ground = &self.survey.ground;
        let mut post = match kin {
            Kin::Own | Kin::OtherUser => post.clone(),
            Kin::OtherOrganization => post.unexposed(),
        };
        let started = loop {
            let request = match kin {
                Kin::Own | Kin::OtherUser => post.request(ground),
                Kin::OtherOrganization => plan::bare(ground.image.as_deref()),
            };
            let started = Box::pin(self.crew.start(sandboxes, request, self.signals)).await;
            match (started, &post.level) {
                (Ok(started), _) => break started,
                (Err(NoMember::Refused(why)), Some((level, _))) => {
                    self.table.omit(format!("ingress level {level}"), why);
                    post = post.unexposed();
                }
                (Err(NoMember::Refused(why)), None) => {
                    let what = match kin {
                        Kin::Own => format!("egress mode {}", post.egress.0),
                        Kin::OtherUser | Kin::OtherOrganization => kin.word().to_owned(),
                    };
                    self.table.omit(what, why);
                    return Ok(None);
                }
                (Err(other @ (NoMember::Ended(_) | NoMember::Failed(_))), _) => return Err(other),
            }
        };
        let crew::Started { id, service } = started;
        let seen = tokio::select! {
            seen = settle(sandboxes, &id) => seen.map_err(NoMember::Failed)?,
            ending = self.signals.next() => return Err(NoMember::Ended(ending)),
        };
        Ok(Some(Peer {
            name: post.name(kin),
            standing: post.standing(kin, ground.profile),
            service: service.map(|address| Service {
                kind: post.service,
                address,
            }),
            id,
            seen,
        }))
    }
}

/// Waits until a sandbox listens, and returns what it sees of its network.
async fn settle(sandboxes: &Sandboxes, id: &str) -> Result<Vec<Sight>, CliError> {
    let loopback = IpAddr::from([127, 0, 0, 1]).into();
    let probes: Vec<Probe> = peers::doors()
        .map(|door| match door {
            Door::Tcp(port) => Probe::Tcp(loopback, port),
            Door::Udp(port) => Probe::Udp(loopback, port),
        })
        .collect();
    let probes: Vec<&Probe> = probes.iter().collect();
    let by = Instant::now() + LISTEN_LIMIT;
    loop {
        let heard = asking::ask(sandboxes, id, &probes).await?;
        if heard
            .values()
            .all(|reading| reading.outcome == Outcome::Open)
        {
            return asking::around(sandboxes, id).await;
        }
        if Instant::now() >= by {
            let what = format!("sandbox {id} does not listen on its own loopback");
            let error = CliError::new(Exit::TimedOut, what);
            return Err(error.next(format!("its log says why: cwic sandbox logs {id}")));
        }
        time::sleep(LISTEN_PAUSE).await;
    }
}
