use palisade_model::policy::{Allowed, Refused};

use super::*;

const YES: Verdict = Verdict::Allowed(Allowed::Name);
const NO: Verdict = Verdict::Refused(Refused::NotListed);

fn asked(probe: &str, expected: Expected) -> Question {
    Question {
        target: "it".to_owned(),
        probe: probe.parse().unwrap(),
        expected,
    }
}

fn short(judgement: Judgement) -> char {
    match judgement {
        Judgement::Equal => '=',
        Judgement::Mismatch => '!',
        Judgement::Unproven(_) => '?',
    }
}

/// One sign for each outcome, in their order.
fn signs(probe: &str, expected: Expected, datagram: Option<Outcome>) -> String {
    let question = asked(probe, expected);
    let outcomes = Outcome::ALL.into_iter();
    outcomes
        .map(|outcome| short(judge(&question, outcome, datagram)))
        .collect()
}

// The order of outcomes: open answered reset refused blocked unreachable silent
// no-such-name declined failed.

#[test]
fn of_an_address_a_refusal_denies_and_an_answer_proves_that_it_is_reached() {
    let probe = "tcp/192.0.2.1/80";
    assert_eq!(signs(probe, Expected::Address(YES), None), "===!???==?");
    assert_eq!(signs(probe, Expected::Address(NO), None), "!!!====!!?");
}

#[test]
fn a_reset_over_version_6_is_told_apart_by_a_datagram() {
    let sign = |expected, datagram| {
        let question = asked("tcp/2001:db8::1/80", Expected::Address(expected));
        short(judge(&question, Outcome::Reset, datagram))
    };
    assert_eq!(sign(NO, Some(Outcome::Refused)), '=');
    assert_eq!(sign(YES, Some(Outcome::Refused)), '!');
    assert_eq!(sign(NO, Some(Outcome::Answered)), '!');
    assert_eq!(sign(YES, Some(Outcome::Answered)), '=');
    assert_eq!(sign(NO, Some(Outcome::Silent)), '?');
    assert_eq!(sign(NO, None), '?');
}

#[test]
fn what_may_be_either_is_settled_by_a_datagram() {
    let question = asked("tcp/192.0.2.1/80", Expected::Address(YES));
    let sign = |datagram| short(judge(&question, Outcome::Blocked, datagram));
    assert_eq!(sign(Some(Outcome::Refused)), '!');
    assert_eq!(sign(Some(Outcome::Unreachable)), '?');
}

#[test]
fn of_a_name_only_an_address_proves_that_it_is_looked_up() {
    let public = "dns/169.254.1.1/example.com";
    assert_eq!(signs(public, Expected::Name(YES), None), "=??!????!?");
    assert_eq!(signs(public, Expected::Name(NO), None), "!========?");
    let own = "dns/169.254.1.1/x.team.sandbox.internal";
    assert_eq!(signs(own, Expected::Name(YES), None), "=??!???!!?");
}

#[test]
fn a_loopback_on_which_somebody_else_listens_is_not_the_sandboxs_own() {
    let signs = signs("tcp/127.0.0.1/22", Expected::OwnLoopback, None);
    assert_eq!(signs, "!========?");
}
