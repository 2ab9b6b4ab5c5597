//! One sentence on which a person can act.
//!
//! It says what nearly fits and what is missing there, and then what to do: the
//! smallest change of the request, or who else can help.

use crate::violation::did_you_mean;

use super::case::Wish;
use super::closest::{Change, Closest, Resized};
use super::constraint::Constraint;
use super::diagnosis::{Cause, Diagnosis, Failure};
use super::fleet::Member;
use super::gap::{Clipped, Side};
use super::refused::Violated;

/// The sentence for a refusal; `nearest` is the candidate that is closest.
pub(super) fn sentence(
    wish: &Wish<'_>,
    diagnosis: &Diagnosis<'_>,
    nearest: Option<&Violated>,
    closest: Option<&Closest>,
) -> String {
    let Some(nearest) = nearest else {
        return NO_CANDIDATES.to_owned();
    };
    if let Some(unknown) = unknown_selector(wish, diagnosis) {
        return unknown;
    }
    let subject = subject(wish, diagnosis.cause());
    let clause = clause(nearest);
    let remedy = remedy(diagnosis.cause(), nearest, closest);
    format!("{subject}: {clause}; {remedy}")
}

/// The most ports that are told one by one.
const PORTS_LISTED_MAX: usize = 8;

const NO_CANDIDATES: &str = "no runner can serve the request: the organization has no runner; \
     an administrator has to create one and bind a profile to it";

fn subject(wish: &Wish<'_>, cause: Cause) -> String {
    let whose = match wish.profiles().len() {
        0 => "no runner".to_owned(),
        1 => format!(
            "no runner with profile {}",
            Clipped(Side::Names(wish.profiles()))
        ),
        _ => format!(
            "no runner with one of the profiles {}",
            Clipped(Side::Names(wish.profiles()))
        ),
    };
    match cause {
        Cause::Structural => format!("{whose} can serve the request"),
        Cause::Away => format!("{whose} that can serve the request is there now"),
        Cause::Full => format!("{whose} has room for the request now"),
    }
}

/// What to say if the caller named something that is not there at all.
fn unknown_selector(wish: &Wish<'_>, diagnosis: &Diagnosis<'_>) -> Option<String> {
    let failures = &diagnosis.failures;
    let is_unknown = |constraint| all(failures, constraint);
    if is_unknown(Constraint::RunnerSelector) {
        let known = failures
            .iter()
            .map(|failure| runner_id(failure.case.member));
        return Some(unknown("runner", wish.runners(), known));
    }
    if is_unknown(Constraint::ProfileSelector) {
        let known = failures
            .iter()
            .map(|failure| failure.case.offer.name.as_str());
        return Some(unknown("profile", wish.profiles(), known));
    }
    None
}

fn runner_id(member: &Member) -> &str {
    member.runner().id.as_str()
}

fn all(failures: &[Failure<'_>], constraint: Constraint) -> bool {
    failures
        .iter()
        .all(|failure| failure.gaps.contains(constraint))
}

type Names<'a> = std::collections::BTreeSet<&'a str>;

fn unknown<'a>(what: &str, asked: &Names<'a>, known: impl Iterator<Item = &'a str>) -> String {
    let known = known.collect::<Names<'a>>();
    let near = asked
        .iter()
        .find_map(|asked| did_you_mean(asked, known.iter().copied()));
    let hint = near
        .map(|near| format!("did you mean {near}? "))
        .unwrap_or_default();
    let offered = if what == "runner" {
        "the runners are"
    } else {
        "bound are"
    };
    format!(
        "no runner can serve the request: there is no {what} {}; {hint}{offered} {}",
        Clipped(Side::Names(asked)),
        Clipped(Side::Names(&known)),
    )
}

/// What a runner says of why it has nothing, as a part of a sentence.
fn because(allowed: &str) -> String {
    match allowed {
        "none" => String::new(),
        why => format!(", as {why}"),
    }
}

/// What is missing at one candidate.
fn clause(violated: &Violated) -> String {
    use Constraint as C;
    let Violated {
        runner, profile, ..
    } = violated;
    let asked = &violated.shortfall.requested;
    let allowed = &violated.shortfall.allowed;
    let profile = format!("profile {profile} on runner {runner}");
    let runner = format!("runner {runner}");
    let quota = |asks: &str| format!("the request {asks} and the quota of the caller is {allowed}");
    let largest = |of: &str| {
        format!("the request needs {asked} {of} and the largest machine of {runner} has {allowed}")
    };
    match violated.constraint {
        C::RunnerSelector | C::ProfileSelector => {
            format!("{profile} would do, and the request names {asked}")
        }
        C::RunnerKept => format!("{runner} is being deleted"),
        C::ProfileResolves => format!("{profile} is not valid there: {}", allowed.trim()),
        C::EgressMode => format!("{profile} has no egress mode {asked}, only {allowed}"),
        C::EgressType => {
            format!("{runner} cannot enforce egress of type {asked}; it enforces {allowed}")
        }
        C::IngressLevel => format!("{profile} has no ingress level {asked}; it has {allowed}"),
        C::ServiceType => format!("{runner} makes no services of type {asked}; it makes {allowed}"),
        C::AddressPool => format!("{runner} has no address pool {asked}; it has {allowed}"),
        C::HttpRoute => {
            format!("{runner} cannot make an HTTP entry point for {asked}; it offers {allowed}")
        }
        C::HostName => format!("the host names {asked} of {profile} are too long for DNS"),
        C::PortProtocol => format!("{runner} cannot expose {asked}; it exposes {allowed}"),
        C::ExposedPorts => {
            format!("the request exposes {asked} ports and {runner} can expose {allowed}")
        }
        C::Image => format!("neither the request nor {profile} names an image"),
        C::GpuType => format!("{runner} has no GPU of type {asked}; it has {allowed}"),
        C::GpuMemory => format!("{runner} cannot tell which GPUs have {asked} of memory"),
        C::Architecture => format!("{runner} has no {asked} machine; it has {allowed}"),
        C::InstanceType => {
            format!("{profile} needs instance type {asked}; the runner has {allowed}")
        }
        C::NodeSelector => {
            format!("{profile} needs nodes labelled {asked}; the runner has {allowed}")
        }
        C::PodFields => format!("{runner} cannot honour {asked} of {profile}"),
        C::Privileged => format!("{runner} runs nothing privileged, and {profile} sets {asked}"),
        C::FileSystem => {
            let why = because(allowed);
            format!("{runner} cannot give a sandbox {asked} of which snapshots can be taken{why}")
        }
        C::Secrets => format!("{runner} is of a version that hands no secrets to sandboxes"),
        C::RunnerSecrets => format!("{runner} has no secrets of its own, such as {asked}"),
        C::CpuCeiling => format!("the request comes to {asked} CPU and {profile} allows {allowed}"),
        C::MemoryCeiling => {
            format!("the request comes to {asked} of memory and {profile} allows {allowed}")
        }
        C::GpuCeiling => format!("the request is for {asked} GPU and {profile} allows {allowed}"),
        C::CpuQuota => quota(&format!("comes to {asked} CPU")),
        C::MemoryQuota => quota(&format!("comes to {asked} of memory")),
        C::GpuQuota => quota(&format!("is for {asked} GPU")),
        C::CpuLargest => largest("CPU"),
        C::MemoryLargest => largest("of memory"),
        C::GpuLargest => largest("GPU"),
        C::MemorySmallest => format!(
            "the request comes to {asked} of memory and on {runner} no sandbox starts with less \
             than {allowed}"
        ),
        C::SlotsConfigured => format!("{runner} is set up for no sandboxes at all"),
        C::Connected | C::NotDraining => format!("{runner} {allowed}"),
        C::FreeSlots => format!("{runner} already has as many sandboxes as it may"),
        C::FreeCpu => format!("the request needs {asked} CPU and {runner} has {allowed} left"),
        C::FreeMemory => {
            format!("the request needs {asked} of memory and {runner} has {allowed} left")
        }
        C::FreeGpus => format!("the request needs {asked} GPU and {runner} has {allowed} left"),
        C::FreePool => format!("the request needs {asked} of {allowed} on {runner}"),
    }
}

fn remedy(cause: Cause, nearest: &Violated, closest: Option<&Closest>) -> String {
    let change = closest.map(Closest::words);
    match (cause, change) {
        (Cause::Structural, Some(change)) => format!("to be served, {change}"),
        (Cause::Structural, None) if nearest.constraint == Constraint::Image => {
            "name an image in the request".to_owned()
        }
        (Cause::Structural, None) => {
            "an administrator has to change the profile or the runner".to_owned()
        }
        (Cause::Away, Some(change)) => format!("try again when it is back, or {change}"),
        (Cause::Away, None) => "try again when it is back".to_owned(),
        (Cause::Full, Some(change)) => format!("try again later, or {change}"),
        (Cause::Full, None) => "try again later".to_owned(),
    }
}

impl Closest {
    /// The change as a person is told it, such as «choose egress mode none».
    pub fn words(&self) -> String {
        let wishes = self.changes.iter().map(wish_words).collect::<Vec<_>>();
        wishes.join(" and ")
    }
}

/// A change, as it is told to whoever has to make it.
fn wish_words(change: &Change) -> String {
    match change {
        Change::Runner(id) => format!("name runner {id}"),
        Change::Profile(name) => format!("name profile {name}"),
        Change::Egress(name) => format!("choose egress mode {name}"),
        Change::Ingress(Some(name)) => format!("choose ingress level {name}"),
        Change::Ingress(None) => "expose nothing".to_owned(),
        Change::Ports(ports) => format!("expose only {}", ports_words(ports)),
        Change::Gpu(Some(gpu)) => format!("ask for {} of its GPUs", gpu.count),
        Change::Gpu(None) => "ask for no GPU".to_owned(),
        Change::Cpu(to) => amount_words(to, "CPU"),
        Change::Memory(to) => amount_words(to, "of memory"),
        Change::MoreMemory(to) => {
            let least = to.limit.as_ref().unwrap_or(&to.request);
            format!("ask for at least {least} of memory")
        }
    }
}

fn ports_words(ports: &[u16]) -> String {
    match ports {
        [one] => format!("port {one}"),
        [first, .., last] if ports.len() > PORTS_LISTED_MAX => {
            format!("{} ports, from {first} to {last}", ports.len())
        }
        _ => {
            let numbers = ports.iter().map(u16::to_string).collect::<Vec<_>>();
            format!("ports {}", numbers.join(", "))
        }
    }
}

/// A limit is what people mean by what they ask for; what is set aside is only
/// spoken of when it alone is too much.
fn amount_words(to: &Resized, resource: &str) -> String {
    match &to.limit {
        Some(limit) => format!("ask for at most {limit} {resource}"),
        None => format!("request at most {} {resource}", to.request),
    }
}
