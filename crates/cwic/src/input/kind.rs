//! What documents are about, and what is to become of them.

use palisade_model::name::RunnerId;
use palisade_model::violation::{FieldPath, Violation, ViolationKind};
use palisade_wire::Source;
use palisade_wire::document::{Data, Node};
use palisade_wire::profile_document::{self, read_profile_draft, read_profile_edit};
use palisade_wire::runner_document::{self, read_runner_draft, read_runner_edit};
use palisade_wire::spelling::{Dialect, Finding, PROFILE, RUNNER, START_REQUEST, Shape};
use palisade_wire::start_document::{Unread, read_start_request};

/// What a document is about, and what is to become of it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind<'a> {
    /// A profile that is to be made.
    NewProfile,
    /// A change of a profile.
    ProfileChange,
    /// A profile as it should be, whether there is one or not.
    WholeProfile,
    /// A runner that is to be made, with an id that was given beside.
    NewRunner(Option<&'a RunnerId>),
    /// A change of a runner.
    RunnerChange,
    /// A runner as it should be, whether there is one or not.
    WholeRunner,
    /// A request for a sandbox.
    StartRequest,
    /// A profile or a runner as it should be; its fields tell which.
    Whole,
}

/// A document whose kind is known, without what is of no use.
#[derive(Debug)]
pub(super) struct Read<'a> {
    pub(super) kind: Kind<'a>,
    pub(super) node: Node,
    /// The state that it was made from, if it says one.
    pub(super) etag: Option<String>,
}

/// The fields by which a runner is known.
const OF_RUNNERS: [&str; 3] = ["identity", "managed_spec", "profile_bindings"];

/// The fields by which a profile is known.
const OF_PROFILES: [&str; 2] = ["spec", "labels"];

impl<'a> Kind<'a> {
    pub(super) fn shape(self) -> &'static Shape {
        match self {
            Self::NewProfile | Self::ProfileChange | Self::WholeProfile | Self::Whole => &PROFILE,
            Self::NewRunner(_) | Self::RunnerChange | Self::WholeRunner => &RUNNER,
            Self::StartRequest => &START_REQUEST,
        }
    }

    /// The kind of one document, and the document without what is of no use.
    pub(super) fn of(self, mut node: Node) -> Result<Read<'a>, Finding> {
        let kind = match self {
            Self::Whole => by_fields(&node)?,
            Self::NewProfile | Self::ProfileChange | Self::WholeProfile => {
                refuse(
                    &node,
                    (&PROFILE, &OF_PROFILES),
                    (&RUNNER, &OF_RUNNERS),
                    "runner",
                )?;
                self
            }
            Self::NewRunner(_) | Self::RunnerChange | Self::WholeRunner => {
                refuse(
                    &node,
                    (&RUNNER, &OF_RUNNERS),
                    (&PROFILE, &["spec"]),
                    "profile",
                )?;
                self
            }
            Self::StartRequest => self,
        };
        let mut etag = None;
        match kind {
            Self::WholeProfile => {
                etag = etag_of(&node)?;
                strip(&mut node, &PROFILE, &profile_document::OUTPUT_ONLY);
            }
            Self::WholeRunner => {
                etag = etag_of(&node)?;
                strip(&mut node, &RUNNER, &runner_document::OUTPUT_ONLY);
                strip_second_name(&mut node);
            }
            Self::NewProfile
            | Self::ProfileChange
            | Self::NewRunner(_)
            | Self::RunnerChange
            | Self::StartRequest
            | Self::Whole => {}
        }
        Ok(Read { kind, node, etag })
    }

    /// Everything that is wrong with a document.
    pub(super) fn findings(self, node: &Node) -> Vec<Finding> {
        let source = Source::whole(Dialect::Friendly);
        let checked = match self {
            Self::NewProfile | Self::WholeProfile | Self::Whole => {
                read_profile_draft(node, &source).map(drop)
            }
            Self::ProfileChange => read_profile_edit(node, &source).map(drop),
            Self::NewRunner(id) => read_runner_draft(node, &source, id).map(drop),
            Self::WholeRunner => read_runner_draft(node, &source, None).map(drop),
            Self::RunnerChange => read_runner_edit(node, &source).map(drop),
            Self::StartRequest => match read_start_request(node, &source) {
                Err(Unread::Findings(findings)) => Err(findings),
                // What a server does not have is for the server to say.
                Ok(_) | Err(Unread::Refused(_)) => Ok(()),
            },
        };
        checked.err().unwrap_or_default()
    }
}

/// Fields of a shape by which a document is known to have it.
type Marks<'a> = (&'static Shape, &'a [&'a str]);

fn has(node: &Node, (shape, wanted): Marks<'_>) -> bool {
    match &node.data {
        Data::Map(entries) => entries.iter().any(|entry| {
            let name = shape.canonical_name(&entry.key);
            name.is_some_and(|name| wanted.contains(&name))
        }),
        Data::Null | Data::Bool(_) | Data::Number(_) | Data::String(_) | Data::List(_) => false,
    }
}

/// Refuses what is plainly the other kind, in words and not field by field.
fn refuse(node: &Node, expected: Marks<'_>, other: Marks<'_>, noun: &str) -> Result<(), Finding> {
    if has(node, expected) || !has(node, other) {
        return Ok(());
    }
    let what = format!(
        "is a {noun}; give it to cwic sandbox {noun}, or to cwic sandbox apply, which takes both"
    );
    Err(Finding {
        violation: Violation::new(FieldPath::root(), ViolationKind::Invalid, what),
        place: node.place,
    })
}

fn by_fields(node: &Node) -> Result<Kind<'static>, Finding> {
    match (
        has(node, (&PROFILE, &OF_PROFILES)),
        has(node, (&RUNNER, &OF_RUNNERS)),
    ) {
        (true, false) => Ok(Kind::WholeProfile),
        (false, true) => Ok(Kind::WholeRunner),
        (true, true) | (false, false) => {
            let what = "must be a profile, with display_name and spec, or a runner, with identity and profile_bindings";
            Err(Finding {
                violation: Violation::new(FieldPath::root(), ViolationKind::Invalid, what),
                place: node.place,
            })
        }
    }
}

/// The state that a document was made from; an empty one says nothing.
fn etag_of(node: &Node) -> Result<Option<String>, Finding> {
    let Data::Map(entries) = &node.data else {
        return Ok(None);
    };
    let Some(entry) = entries.iter().find(|entry| entry.key == "etag") else {
        return Ok(None);
    };
    match &entry.value.data {
        Data::String(etag) => Ok(Some(etag.clone()).filter(|etag| !etag.is_empty())),
        Data::Null => Ok(None),
        // Passed over, it would not guard what it is written to guard.
        Data::Bool(_) | Data::Number(_) | Data::List(_) | Data::Map(_) => Err(Finding {
            violation: Violation::new(
                FieldPath::root().key("etag"),
                ViolationKind::Invalid,
                "must be the text that the server gave",
            ),
            place: entry.value.place,
        }),
    }
}

/// Takes away what only the server sets, which answers of it hold.
fn strip(node: &mut Node, shape: &'static Shape, names: &[&str]) {
    if let Data::Map(entries) = &mut node.data {
        entries.retain(|entry| {
            let name = shape.canonical_name(&entry.key);
            name.is_none_or(|name| !names.contains(&name))
        });
    }
}

/// An answer names the cluster twice; a document must not.
fn strip_second_name(node: &mut Node) {
    let Data::Map(entries) = &mut node.data else {
        return;
    };
    let identity = entries.iter_mut().find(|entry| entry.key == "identity");
    let Some(Data::Map(fields)) = identity.map(|entry| &mut entry.value.data) else {
        return;
    };
    let is = |key: &str, camel: &str, snake: &str| key == camel || key == snake;
    if fields
        .iter()
        .any(|field| is(&field.key, "clusterName", "cluster_name"))
    {
        fields.retain(|field| !is(&field.key, "clusterId", "cluster_id"));
    }
}
