//! Whether profiles and the runners that offer them go together.
//!
//! A launch resolves the layers of one binding. What a launch would refuse is
//! refused here already, when a profile, a binding or the settings of a runner
//! are written. The decision itself is the domain's; here is only what is put
//! before it, and at which field the answer belongs.

use palisade_model::pod;
use palisade_model::profile::{Profile, ProfileSpec};
use palisade_model::resolve::resolve;
use palisade_model::runner::{Binding, Runner, SpecPatch};
use palisade_model::violation::{FieldPath, Step, Violation};
use palisade_wire::runner_document::binding_path;
use serde_json::Value;

use crate::error::ApiResult;
use crate::page;
use crate::plane::ControlPlane;

/// A runner and its binding of one profile.
pub(crate) struct Bound {
    pub(crate) runner: Runner,
    pub(crate) index: usize,
}

impl Bound {
    fn binding(&self) -> Option<&Binding> {
        self.runner.bindings.as_slice().get(self.index)
    }
}

impl ControlPlane {
    /// Every binding of a profile in its organization.
    pub(crate) async fn bindings_of(&self, profile: &Profile) -> ApiResult<Vec<Bound>> {
        let organization = &profile.organization;
        let runners = page::all(|page| self.store.list_runners(organization, page)).await?;
        let bound = runners.into_iter().filter_map(|runner| {
            let bindings = runner.bindings.as_slice();
            let index = bindings.iter().position(|b| b.profile == profile.id)?;
            Some(Bound { runner, index })
        });
        Ok(bound.collect())
    }
}

/// What a profile would break on the runners that offer it, at canonical paths
/// of the profile's document.
pub(crate) fn broken_by_profile(profile: &Profile, bound: &[Bound]) -> Vec<Violation> {
    let spec = FieldPath::root().key("spec");
    let mut violations = Vec::new();
    for bound in bound {
        let Some(binding) = bound.binding() else {
            continue;
        };
        for violation in broken(&bound.runner, binding, profile) {
            let description = format!(
                "{}; runner {} offers the profile and could not start sandboxes with it",
                violation.description, bound.runner.id
            );
            let path = spec.join(&violation.path);
            violations.push(Violation::new(path, violation.kind, description));
        }
    }
    violations
}

/// What the bindings of a runner break, at canonical paths of the runner's
/// document. `profiles` is parallel to the bindings.
pub(crate) fn broken_by_runner(runner: &Runner, profiles: &[Profile]) -> Vec<Violation> {
    let mut violations = Vec::new();
    for (index, (binding, profile)) in runner.bindings.as_slice().iter().zip(profiles).enumerate() {
        for violation in broken(runner, binding, profile) {
            violations.push(at_binding(index, binding, profile, violation));
        }
    }
    violations
}

/// What a spec would weaken wherever it runs, at canonical paths of the
/// profile's document.
///
/// Annotations are left to the runners, some of which allow them.
pub(crate) fn escapes(spec: &ProfileSpec) -> Vec<Violation> {
    let at = FieldPath::root().key("spec");
    let found = spec.pod.as_ref().map(pod::escapes).unwrap_or_default();
    found
        .into_iter()
        .filter(|violation| !is_annotation(&violation.path))
        .map(|found| Violation::new(at.join(&found.path), found.kind, found.description))
        .collect()
}

/// What a launch of this binding would be refused for.
fn broken(runner: &Runner, binding: &Binding, profile: &Profile) -> Vec<Violation> {
    let resolved = match resolve(runner, binding, profile) {
        Ok(resolved) => resolved,
        Err(violations) => return violations,
    };
    let found = resolved.spec.pod.as_ref().map(pod::escapes);
    let allows_annotations = runner.settings.allow_privileged_profile_annotations;
    found
        .unwrap_or_default()
        .into_iter()
        .filter(|violation| !(allows_annotations && is_annotation(&violation.path)))
        .collect()
}

/// Whether the field is an annotation of the pod.
fn is_annotation(path: &FieldPath) -> bool {
    FieldPath::from(["pod", "metadata", "annotations"]).is_above(path)
}

/// The place in the binding that a violation of the outcome belongs to: the
/// override that sets the field, else the binding as such.
fn at_binding(
    index: usize,
    binding: &Binding,
    profile: &Profile,
    violation: Violation,
) -> Violation {
    let Violation {
        path,
        kind,
        description,
    } = violation;
    let overrides = binding.overrides.as_ref();
    if overrides.is_some_and(|patch| sets(patch, &path)) {
        let at = binding_path(index, Some("overrides_json")).join(&path);
        return Violation::new(at, kind, description);
    }
    let name = profile.display_name.as_str();
    let description = format!("cannot offer profile {name:?} here: spec.{path} {description}");
    Violation::new(binding_path(index, None), kind, description)
}

/// Whether the patch holds the field at `path`.
fn sets(overrides: &SpecPatch, path: &FieldPath) -> bool {
    let mut steps = path.steps().iter();
    let Some(Step::Key(first)) = steps.next() else {
        return false;
    };
    let first = overrides.as_map().get(first);
    steps
        .try_fold(first, |value, step| match (value, step) {
            (Some(Value::Object(map)), Step::Key(key)) => Some(map.get(key)),
            (Some(Value::Array(items)), Step::Index(index)) => Some(items.get(*index)),
            _ => None,
        })
        .flatten()
        .is_some()
}
