//! The truth table: what is asked, what should come of it, and what did.

use palisade_init_protocol::probe::{Outcome, Probe, Reading};
use palisade_model::policy::Verdict;

/// One thing that a sandbox is asked about.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Question {
    /// What it is about, for people.
    pub(super) target: String,
    /// How it is asked.
    pub(super) probe: Probe,
    /// What should come of it.
    pub(super) expected: Expected,
}

/// What should come of a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expected {
    /// Whatever is at the address is reached, or not.
    Address(Verdict),
    /// The resolver of the runner looks the name up, or does not.
    Name(Verdict),
    /// The loopback is the sandbox's own, on which nothing of it listens here.
    OwnLoopback,
}

/// A question, what was heard, and what to make of it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Row {
    /// The name of the egress mode of the sandbox that was asked.
    pub(super) mode: String,
    pub(super) question: Question,
    pub(super) outcome: Outcome,
    pub(super) detail: String,
    pub(super) judgement: Judgement,
}

/// What a measurement says about the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Judgement {
    /// It is as the model says.
    Equal,
    /// It is not.
    Mismatch,
    /// It says nothing, for this reason.
    Unproven(&'static str),
}

/// Something that was not measured, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Omission {
    pub(super) what: String,
    pub(super) why: String,
}

/// Everything that was measured, and what was not.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Table {
    pub(super) rows: Vec<Row>,
    pub(super) omissions: Vec<Omission>,
}

impl Expected {
    /// The prediction in one word.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Address(verdict) | Self::Name(verdict) if verdict.is_allowed() => "allowed",
            Self::Address(_) | Self::Name(_) | Self::OwnLoopback => "refused",
        }
    }

    /// What the prediction rests on.
    pub(super) fn why(self) -> String {
        match self {
            Self::Address(Verdict::Allowed(why)) | Self::Name(Verdict::Allowed(why)) => {
                why.to_string()
            }
            Self::Address(Verdict::Refused(why)) | Self::Name(Verdict::Refused(why)) => {
                why.to_string()
            }
            Self::OwnLoopback => "the loopback is the sandbox's own".to_owned(),
        }
    }
}

impl Row {
    /// A row out of a reading of the same probe.
    pub(super) fn new(
        mode: &str,
        question: Question,
        reading: Reading,
        judgement: Judgement,
    ) -> Self {
        let Reading {
            probe: _,
            outcome,
            detail,
        } = reading;
        Self {
            mode: mode.to_owned(),
            question,
            outcome,
            detail,
            judgement,
        }
    }
}

impl Table {
    pub(super) fn mismatches(&self) -> usize {
        self.count(|judgement| judgement == Judgement::Mismatch)
    }

    pub(super) fn unproven(&self) -> usize {
        self.count(|judgement| matches!(judgement, Judgement::Unproven(_)))
    }

    fn count(&self, counts: impl Fn(Judgement) -> bool) -> usize {
        let rows = self.rows.iter();
        rows.filter(|row| counts(row.judgement)).count()
    }

    /// Notes that something was not measured.
    pub(super) fn omit(&mut self, what: impl Into<String>, why: impl Into<String>) {
        let (what, why) = (what.into(), why.into());
        let omission = Omission { what, why };
        if !self.omissions.contains(&omission) {
            self.omissions.push(omission);
        }
    }
}
