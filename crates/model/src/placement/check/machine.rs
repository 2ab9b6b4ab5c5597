//! The image, and the kind of machine that a sandbox needs.

use crate::placement::case::Case;
use crate::placement::gap::{Gap, Side};
use crate::runner::Feature;
use crate::sandbox::GpuKind;
use crate::secret::SecretSource;

pub(super) fn image<'a>(case: &Case<'a>) -> Option<Gap<'a>> {
    case.resolved()?;
    let wanted = Side::Text("an image");
    (case.image().is_none()).then(|| Gap::new(wanted, Side::Text("no image of its own")))
}

pub(super) fn gpu_type<'a>(case: &Case<'a>) -> Option<Gap<'a>> {
    let GpuKind::Type(wanted) = &case.amounts?.gpu?.kind else {
        return None;
    };
    let types = &case.report()?.capabilities.gpu_types;
    let has_it = types.contains(wanted);
    (!has_it).then(|| Gap::new(Side::Text(wanted), Side::Set(types)))
}

/// Runners do not say how much memory their GPUs have, and what nobody can
/// check is not promised.
pub(super) fn gpu_memory<'a>(case: &Case<'a>) -> Option<Gap<'a>> {
    let GpuKind::MemoryGb(wanted) = case.amounts?.gpu?.kind else {
        return None;
    };
    let allowed = Side::Text("GPUs chosen by type");
    Some(Gap::new(Side::GpuMemory(wanted), allowed))
}

pub(super) fn architecture<'a>(case: &Case<'a>) -> Option<Gap<'a>> {
    let wanted = case.lacks?.architecture.as_ref()?;
    let known = &case.report()?.capabilities.architectures;
    Some(Gap::new(Side::Text(wanted), Side::Set(known)))
}

pub(super) fn instance_type<'a>(case: &Case<'a>) -> Option<Gap<'a>> {
    let wanted = &case.lacks?.instance_types;
    let known = &case.report()?.capabilities.instance_types;
    (!wanted.is_empty()).then(|| Gap::new(Side::InstanceTypes(wanted), Side::Set(known)))
}

pub(super) fn node_selector<'a>(case: &Case<'a>) -> Option<Gap<'a>> {
    let absent = &case.lacks?.node_labels;
    let known = &case.report()?.capabilities.node_labels;
    (!absent.is_empty()).then(|| Gap::new(Side::Strings(absent), Side::Labels(known)))
}

pub(super) fn pod_fields<'a>(case: &Case<'a>) -> Option<Gap<'a>> {
    let fields = &case.lacks?.pod_fields;
    let allowed = Side::Text("pod fields that the runner can honour");
    (!fields.is_empty()).then(|| Gap::new(Side::Strings(fields), allowed))
}

pub(super) fn privileged<'a>(case: &Case<'a>) -> Option<Gap<'a>> {
    let fields = &case.lacks?.privileged;
    let allowed = Side::Text("unprivileged pods");
    (!fields.is_empty()).then(|| Gap::new(Side::Strings(fields), allowed))
}

pub(super) fn file_system<'a>(case: &Case<'a>) -> Option<Gap<'a>> {
    case.request().file_system.as_ref()?;
    let can = &case.report()?.capabilities;
    let wanted = Side::Text("a file system of its own");
    let why = can.lacks.get(&Feature::FileSystems);
    (!can.file_systems).then(|| Gap::new(wanted, Side::Text(why.map_or("none", String::as_str))))
}

pub(super) fn secrets<'a>(case: &Case<'a>) -> Option<Gap<'a>> {
    let mut asked = case.request().secrets.iter();
    asked.find(|asked| asked.variable.is_of_store())?;
    let can = case.report()?.capabilities.secrets.has_stores();
    (!can).then(|| Gap::new(Side::Text("secrets"), Side::Text("no secrets")))
}

pub(super) fn runner_secrets<'a>(case: &Case<'a>) -> Option<Gap<'a>> {
    let mut asked = case.request().secrets.iter();
    let name = asked.find_map(|asked| match &asked.variable.source {
        SecretSource::Runner { name, .. } => Some(name),
        SecretSource::Store { .. } => None,
    })?;
    let can = case.report()?.capabilities.secrets.has_own();
    (!can).then(|| {
        Gap::new(
            Side::Text(name.as_str()),
            Side::Text("no secrets of its own"),
        )
    })
}
