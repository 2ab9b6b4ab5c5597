//! Figures of the platform for whoever collects them, in the text of `OpenMetrics`.
//!
//! Served at an address of its own, which is on loopback unless the operator says
//! otherwise, and only if it is asked for: figures name organizations and
//! profiles. Each answer is made anew out of memory. How many series there are is
//! bounded; what is beyond is counted together, as `other`.

use std::fmt;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use palisade_gateway::LiveView;
use palisade_model::clock::{Clock as _, Timestamp};
use palisade_model::denial::Direction;
use palisade_model::placement::{Fleet, Presence};
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};
use tokio::net::TcpListener;
use tracing::{info, warn};

use crate::parts::supervisor::Supervisor;
use crate::serve::{Server, Services};
use crate::system::SystemClock;

const FORMAT: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// How many profiles and how many runners have series of their own.
const SERIES_MAX: usize = 1000;
/// The name of all that are beyond.
const OTHER: &str = "other";

mod of_runner;

pub(crate) use of_runner::{Figures, serve_runner};

type Labels = Vec<(&'static str, String)>;

/// Where the figures come from.
trait Source: Send + Sync + 'static {
    /// Puts the present figures of the platform into a registry.
    fn register(&self, registry: &mut Registry);
}

/// Figures of a gateway.
struct OfGateway(LiveView);

/// A source, and when this process started.
struct Shown {
    source: Box<dyn Source>,
    started: Timestamp,
}

/// Answers `/metrics` of a gateway until everything is to stop.
pub(super) fn serve(
    listener: TcpListener,
    live: LiveView,
    supervisor: &mut Supervisor,
) -> anyhow::Result<()> {
    answer(listener, Box::new(OfGateway(live)), supervisor)
}

fn answer(
    listener: TcpListener,
    source: Box<dyn Source>,
    supervisor: &mut Supervisor,
) -> anyhow::Result<()> {
    let address = listener.local_addr()?;
    info!(url = %format_args!("http://{address}/metrics"), "metrics are served");
    let shown = Shown {
        source,
        started: SystemClock.now(),
    };
    let rest = Router::new()
        .route("/metrics", get(metrics))
        .with_state(Arc::new(shown));
    let services = Services {
        rest,
        grpc: Router::new(),
    };
    let server = Server::new(services, supervisor.stop_token());
    supervisor.spawn("metrics", async move {
        server.listen(listener, None).await;
        Ok(())
    });
    Ok(())
}

async fn metrics(State(shown): State<Arc<Shown>>) -> Response {
    match shown.text() {
        Ok(text) => ([(CONTENT_TYPE, FORMAT)], text).into_response(),
        Err(error) => {
            warn!(%error, "metrics could not be written");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

impl Source for OfGateway {
    fn register(&self, registry: &mut Registry) {
        let ready = Gauge::<i64>::default();
        ready.set(i64::from(self.0.is_ready()));
        registry.register("ready", "Whether sandboxes are admitted", ready);
        runners(&self.0.fleet(), registry);
        let denials = self.0.denials_by_profile().into_iter();
        let denials = denials.map(|(organization, profile, totals)| Denied {
            organization: Some(organization.to_string()),
            profile: profile.to_string(),
            packets: totals.packets,
            incoming: totals.incoming,
            questions: totals.questions,
        });
        denied(denials, registry);
    }
}

impl Shown {
    fn text(&self) -> Result<String, fmt::Error> {
        let mut registry = Registry::default();
        self.process(&mut registry);
        self.source
            .register(registry.sub_registry_with_prefix("palisade"));
        let mut text = String::new();
        encode(&mut text, &registry)?;
        Ok(text)
    }

    fn process(&self, registry: &mut Registry) {
        let version = vec![("version", env!("CARGO_PKG_VERSION"))];
        registry.register("palisade", "What runs here", Info::new(version));
        let started = Gauge::<i64>::default();
        started.set(self.started.as_micros() / 1_000_000);
        registry.register_with_unit(
            "process_start_time",
            "When this process started, after 1970",
            Unit::Seconds,
            started,
        );
        if let Some(bytes) = resident_bytes() {
            let resident = Gauge::<i64>::default();
            resident.set(bytes);
            registry.register_with_unit(
                "process_resident_memory",
                "Memory that this process holds",
                Unit::Bytes,
                resident,
            );
        }
    }
}

fn runners(fleet: &Fleet, registry: &mut Registry) {
    let connected = Family::<Labels, Gauge>::default();
    let sandboxes = Family::<Labels, Gauge>::default();
    for state in [Presence::Connected, Presence::Lost, Presence::NeverSeen] {
        // Shown even if there is none.
        drop(connected.get_or_create(&vec![("state", word(state).to_owned())]));
    }
    for (place, member) in fleet.iter().enumerate() {
        let (runner, live) = (member.runner(), member.live());
        let state = word(live.presence).to_owned();
        connected.get_or_create(&vec![("state", state)]).inc();
        let (organization, name) = if place < SERIES_MAX {
            (runner.organization.to_string(), runner.uid.to_string())
        } else {
            (OTHER.to_owned(), OTHER.to_owned())
        };
        let labels = vec![("organization", organization), ("runner", name)];
        let count = sandboxes.get_or_create(&labels);
        count.inc_by(live.usage.sandboxes.into());
    }
    let help = "Runners, by whether they are connected";
    registry.register("runners", help, connected);
    let help = "Sandboxes that are not over, those being launched included";
    registry.register("sandboxes", help, sandboxes);
}

fn word(presence: Presence) -> &'static str {
    match presence {
        Presence::Connected => "connected",
        Presence::Lost => "lost",
        Presence::NeverSeen => "never_seen",
    }
}

/// What was refused to the sandboxes of a profile.
struct Denied {
    /// Absent where all of them are of one.
    organization: Option<String>,
    profile: String,
    packets: u64,
    incoming: u64,
    questions: u64,
}

/// Profiles keep their series, as they come in the order in which they were first
/// heard of.
fn denied(profiles: impl Iterator<Item = Denied>, registry: &mut Registry) {
    let packets = Family::<Labels, Counter>::default();
    let questions = Family::<Labels, Counter>::default();
    for (place, profile) in profiles.enumerate() {
        let other = || OTHER.to_owned();
        let (organization, name) = if place < SERIES_MAX {
            (profile.organization, profile.profile)
        } else {
            (profile.organization.map(|_| other()), other())
        };
        let organization = organization.map(|organization| ("organization", organization));
        let labels: Labels = organization
            .into_iter()
            .chain([("profile", name)])
            .collect();
        for (direction, count) in [
            (Direction::Outgoing, profile.packets),
            (Direction::Incoming, profile.incoming),
        ] {
            let mut labels = labels.clone();
            labels.push(("direction", direction.as_str().to_owned()));
            packets.get_or_create(&labels).inc_by(count);
        }
        questions.get_or_create(&labels).inc_by(profile.questions);
    }
    let help = "Packets of sandboxes and for them that their policy refused";
    registry.register("denied_packets", help, packets);
    let help = "Questions for names that the resolver refused, or answered without something";
    registry.register("denied_questions", help, questions);
}

/// What the kernel says that this process holds.
fn resident_bytes() -> Option<i64> {
    let text = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: i64 = text.split_whitespace().nth(1)?.parse().ok()?;
    let page = i64::try_from(rustix::param::page_size()).ok()?;
    pages.checked_mul(page)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(profiles: usize) -> String {
        let mut registry = Registry::default();
        let profiles = (0..profiles).map(|number| Denied {
            organization: Some("acme".to_owned()),
            profile: number.to_string(),
            packets: 2,
            incoming: 3,
            questions: 1,
        });
        denied(profiles, &mut registry);
        runners(&Fleet::default(), &mut registry);
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        text
    }

    #[test]
    fn each_profile_has_its_own_series_and_runners_are_counted() {
        let text = text(2);
        for line in [
            "denied_packets_total{organization=\"acme\",profile=\"1\",direction=\"outgoing\"} 2",
            "denied_packets_total{organization=\"acme\",profile=\"1\",direction=\"incoming\"} 3",
            "denied_questions_total{organization=\"acme\",profile=\"0\"} 1",
            "runners{state=\"connected\"} 0",
        ] {
            assert!(text.lines().any(|own| own == line), "{line}\n{text}");
        }
    }

    #[test]
    fn profiles_beyond_the_most_are_counted_together() {
        let text = text(SERIES_MAX + 5);
        let series = text
            .lines()
            .filter(|line| line.starts_with("denied_packets_total"));
        assert_eq!(series.count(), 2 * (SERIES_MAX + 1));
        let rest = "denied_packets_total{organization=\"other\",profile=\"other\",direction=\"outgoing\"} 10";
        assert!(text.lines().any(|line| line == rest), "{text}");
    }
}
