//! The way back from a canonical path to what the caller wrote.

use std::collections::HashMap;

use palisade_model::violation::{FieldPath, Step, Violation, ViolationKind};

use super::reading::find;
use super::{Dialect, Finding, Shape, join};
use crate::document::Place;

/// How the caller wrote a value and all that is below it.
#[derive(Debug)]
pub struct Origin {
    pub(super) dialect: Dialect,
    pub(super) shape: &'static Shape,
    /// The step as the caller wrote it; the path to the document at its root.
    pub(super) path: FieldPath,
    pub(super) key_place: Option<Place>,
    pub(super) place: Option<Place>,
    pub(super) children: HashMap<Step, Origin>,
}

impl Origin {
    /// For what no document said: paths are spelled as the wire spells them.
    pub fn nowhere(shape: &'static Shape) -> Self {
        Self {
            dialect: Dialect::Wire,
            shape,
            path: FieldPath::root(),
            key_place: None,
            place: None,
            children: HashMap::new(),
        }
    }

    /// The violation as the caller sees it.
    ///
    /// The path of what is missing is spelled in the dialect of the document,
    /// and its place is that of what it is missing from.
    pub fn locate(&self, violation: Violation) -> Finding {
        let mut here = self;
        let mut path = self.path.clone();
        let mut steps = violation.path.steps().iter();
        while let Some(child) = steps.as_slice().first().and_then(|s| here.children.get(s)) {
            steps.next();
            path = path.join(&child.path);
            here = child;
        }
        let is_missing = !steps.as_slice().is_empty();
        let path = spell_rest(path, steps.as_slice(), here.shape, self.dialect);
        let place = if is_missing || is_about_key(violation.kind) {
            here.key_place.or(here.place)
        } else {
            here.place.or(here.key_place)
        };
        Finding::new(path, violation.kind, violation.description, place)
    }

    /// All violations as the caller sees them.
    pub fn locate_all(&self, violations: Vec<Violation>) -> Vec<Finding> {
        violations.into_iter().map(|v| self.locate(v)).collect()
    }
}

/// Whether it is the presence of the field that breaks the rule.
fn is_about_key(kind: ViolationKind) -> bool {
    match kind {
        ViolationKind::UnknownField
        | ViolationKind::Required
        | ViolationKind::Duplicate
        | ViolationKind::Forbidden
        | ViolationKind::ReadOnly
        | ViolationKind::Immutable => true,
        ViolationKind::WrongType
        | ViolationKind::Invalid
        | ViolationKind::Conflict
        | ViolationKind::TooMany => false,
    }
}

/// Adds canonical steps to a path, spelled as `dialect` does.
fn spell_rest(
    mut path: FieldPath,
    steps: &[Step],
    mut shape: &'static Shape,
    dialect: Dialect,
) -> FieldPath {
    for step in steps {
        let (spelled, below) = shape.spell(step, dialect);
        path = join(&path, spelled);
        shape = below;
    }
    path
}

impl Shape {
    /// The canonical form of a path that somebody spelled in any dialect.
    pub fn canonical(&'static self, path: &FieldPath) -> FieldPath {
        let mut shape = self;
        let mut canonical = FieldPath::root();
        for step in path.steps() {
            let field = match (shape, step) {
                (Self::Object(fields), Step::Key(key)) => find(fields, key),
                _ => None,
            };
            let (step, below) = match field {
                Some(field) => (Step::Key(field.name.to_owned()), &field.shape),
                None => (step.clone(), shape.below()),
            };
            canonical = join(&canonical, step);
            shape = below;
        }
        canonical
    }

    /// The canonical name of a field that somebody spelled in any dialect.
    pub fn canonical_name(&self, key: &str) -> Option<&'static str> {
        match self {
            Self::Object(fields) => find(fields, key).map(|field| field.name),
            Self::Leaf
            | Self::Quantity
            | Self::Word(_)
            | Self::Open
            | Self::Map(_)
            | Self::List(_) => None,
        }
    }

    /// A canonical step in another spelling, and what is below it.
    fn spell(&'static self, step: &Step, dialect: Dialect) -> (Step, &'static Self) {
        match (self, step) {
            (Self::Object(fields), Step::Key(key)) => {
                match fields.iter().find(|field| field.name == key) {
                    Some(field) => (Step::Key(field.name_in(dialect).to_owned()), &field.shape),
                    None => (step.clone(), &Self::Open),
                }
            }
            (Self::Map(below), Step::Key(_)) | (Self::List(below), Step::Index(_)) => {
                (step.clone(), below)
            }
            (
                Self::Leaf
                | Self::Quantity
                | Self::Word(_)
                | Self::Open
                | Self::Map(_)
                | Self::List(_)
                | Self::Object(_),
                _,
            ) => (step.clone(), &Self::Open),
        }
    }
}

impl super::Field {
    /// The name of the field in a dialect.
    pub fn name_in(&self, dialect: Dialect) -> &'static str {
        match dialect {
            Dialect::Friendly => self.name,
            Dialect::Wire => self.wire,
        }
    }
}
