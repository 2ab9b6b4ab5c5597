//! Whether this host can carry the network, found out by trying.
//!
//! Nothing here changes the host: what needs to be made is made in namespaces
//! that are gone when the check is.

use std::os::fd::AsFd as _;

use palisade_model::policy::Door;
use palisade_model::sandbox::Protocol;

use super::addressing::{self, Choice};
use super::config::Config;
use super::external;
use super::forwarding::{self, Opened, Reach};
use super::host::{Host, Survey};
use super::layout::{FAR_HARDWARE, INSIDE, Layout, NEAR_HARDWARE, Slot, UPLINK};
use super::members;
use super::namespace::Namespace;
use super::nft;
use super::numbers::Numbers;
use super::ruleset;
use crate::netlink::Socket;
use crate::netlink::interface::{self, End};

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What was looked at.
    pub subject: &'static str,
    /// What that means for the network.
    pub severity: Severity,
    /// What was found, and what to do about it.
    pub message: String,
}

/// What a finding means for the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// It is as it should be.
    Fine,
    /// Sandboxes are isolated, but some of what they may reach is out of reach.
    Warning,
    /// The network cannot be opened.
    Fatal,
}

/// Looks at everything that the network needs. The host is where the calling
/// thread is.
pub fn examine(config: &Config) -> Vec<Finding> {
    let mut findings = Vec::new();
    let (scratch, other) = match (Namespace::make(), Namespace::make()) {
        (Ok(scratch), Ok(other)) => (scratch, other),
        (Err(error), _) | (_, Err(error)) => {
            let message = format!(
                "cannot make network namespaces: {error}; run as root, \
                 or with CAP_SYS_ADMIN and CAP_NET_ADMIN"
            );
            return vec![fatal("privileges", message)];
        }
    };
    findings.push(fine("privileges", "may make network namespaces"));
    findings.push(interfaces(&scratch, &other));
    findings.push(rules(config, &scratch));
    let host = Host::of_caller(config.nft.clone()).and_then(|mut host| {
        let survey = host.survey()?;
        Ok((host, survey))
    });
    match host {
        Ok((mut host, survey)) => findings.extend(surroundings(config, &mut host, &survey)),
        Err(error) => findings.push(fatal("host", chain(&error))),
    }
    findings
}

/// Whether the kernel makes virtual cables between namespaces.
fn interfaces(scratch: &Namespace, other: &Namespace) -> Finding {
    let end = |name, hardware| End { name, hardware };
    let cable = interface::cable(
        end(UPLINK, NEAR_HARDWARE),
        end(INSIDE, FAR_HARDWARE),
        other.as_fd(),
        1500,
    );
    let laid = scratch.visit(|| Socket::route().and_then(|mut socket| socket.execute(&[cable])));
    match laid {
        Ok(Ok(())) => fine("interfaces", "the kernel makes veth pairs"),
        Ok(Err(error)) => fatal(
            "interfaces",
            format!("the kernel makes no veth pairs: {error}; load the module veth"),
        ),
        Err(error) => fatal("interfaces", format!("cannot enter a namespace: {error}")),
    }
}

/// Whether `nft` is there, and the kernel takes the very rules that are used.
fn rules(config: &Config, scratch: &Namespace) -> Finding {
    let Some(layout) = Layout::sample(&config.instance) else {
        return fatal("rules", "cannot make up addresses for a trial".to_owned());
    };
    let mut numbers = Numbers::default();
    let mut trial = Vec::new();
    let door = Door {
        protocol: Protocol::Tcp,
        port: 80,
    };
    if let Ok((mark, _)) = numbers.enter(()) {
        let (interface, addresses) = ("p00000000000000", layout.addresses(Slot(0)));
        trial.extend(members::sources(interface, addresses, mark));
        trial.extend(members::held(interface, &[mark]));
        trial.extend(members::doors(addresses, &[mark], [door].into_iter()));
    }
    let router = ruleset::Router {
        layout: &layout,
        flows_max: config.flows_max,
        members: &trial,
    };
    let host = ruleset::Host {
        layout: &layout,
        opened: &Opened::default(),
        published: &[door].into(),
        external: &[],
    };
    let loaded = nft::load(&config.nft, scratch, &router.text())
        .and_then(|()| nft::load(&config.nft, scratch, &host.text()));
    match loaded {
        Ok(()) => fine("rules", "nft and the kernel take the rules"),
        Err(error) => fatal("rules", chain(&error)),
    }
}

/// Whether the host leaves room for the sandboxes and leads anywhere.
fn surroundings(config: &Config, host: &mut Host, survey: &Survey) -> Vec<Finding> {
    let has_v6 = host.knows_v6().unwrap_or(false);
    let chosen = addressing::choose(config, has_v6, &[], survey);
    let mut findings = vec![
        match &chosen {
            Ok(_) => fine("addresses", "the host leaves the sandbox addresses free"),
            Err(conflict) => fatal("addresses", conflict.to_string()),
        },
        if survey.has_default_route() {
            fine("way out", "the host has a default route")
        } else {
            warning(
                "way out",
                "the host has no default route: sandboxes reach only what it has routes for",
            )
        },
    ];
    if let Ok(Choice::Use(layout)) = &chosen {
        findings.extend(pools(config, layout, survey));
    }
    let plan = || forwarding::plan(Opened::needed(survey), has_v6);
    findings.push(match host.namespace.visit(plan) {
        Ok(Ok((Reach::Everywhere | Reach::PerInterface, _))) => {
            fine("IPv6", "the host can forward IPv6 for sandboxes")
        }
        Ok(Ok((Reach::NotBeyondHost, _))) => warning(
            "IPv6",
            "the host does not forward IPv6, and this kernel cannot be told to for single \
             interfaces: sandboxes reach the outside by IPv4 only; to change that, set \
             net.ipv6.conf.all.forwarding=1 and check that the host keeps its IPv6 routes",
        ),
        Ok(Err(error)) => fatal("settings", chain(&error)),
        Err(error) => fatal("settings", error.to_string()),
    });
    findings.extend(host.obstacles().unwrap_or_default().into_iter().map(|name| {
        warning(
            "other rules",
            &format!(
                "{name} drops what the host forwards: let packets from and to the interface {} \
                 pass there",
                super::layout::host_uplink(&config.instance)
            ),
        )
    }));
    findings
}

/// Whether the external addresses can be those of sandboxes, if there are some.
fn pools(config: &Config, layout: &Layout, survey: &Survey) -> Option<Finding> {
    let pools = &config.services.pools;
    (!pools.is_empty()).then(|| match external::check(pools, layout, survey) {
        Ok(_) => fine("address pools", "the host has no such address itself"),
        Err(error) => fatal("address pools", error.to_string()),
    })
}

fn fine(subject: &'static str, message: &str) -> Finding {
    Finding {
        subject,
        severity: Severity::Fine,
        message: message.to_owned(),
    }
}

fn warning(subject: &'static str, message: &str) -> Finding {
    Finding {
        subject,
        severity: Severity::Warning,
        message: message.to_owned(),
    }
}

fn fatal(subject: &'static str, message: String) -> Finding {
    Finding {
        subject,
        severity: Severity::Fatal,
        message,
    }
}

/// An error and everything behind it, on one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        text = format!("{text}: {source}");
        next = source.source();
    }
    text
}
