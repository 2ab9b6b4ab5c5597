//! Advice about the image and the amounts of CPU and memory.

use crate::image::ImageReference;
use crate::profile::ProfileSpec;
use crate::quantity::Quantity;

use super::{Finding, Rule, spec_path};

pub(super) fn findings(spec: &ProfileSpec) -> Vec<Finding> {
    let defaults = &spec.resource_defaults;
    let ceiling = &spec.resource_ceiling;
    let cpu = Side {
        what: "CPU",
        request: (&defaults.cpu_request, "cpuRequest"),
        limit: (&defaults.cpu_limit, "cpuLimit"),
        ceiling: ceiling.cpu.as_ref(),
    };
    let memory = Side {
        what: "memory",
        request: (&defaults.memory_request, "memoryRequest"),
        limit: (&defaults.memory_limit, "memoryLimit"),
        ceiling: ceiling.memory.as_ref(),
    };
    let image = spec.container_image.as_ref().and_then(floating);
    let amounts = [cpu.missing(), memory.missing(), cpu.alone(), memory.alone()];
    image
        .into_iter()
        .chain(amounts.into_iter().flatten())
        .collect()
}

/// What a profile says of one resource.
struct Side<'a> {
    what: &'static str,
    request: (&'a Option<Quantity>, &'static str),
    limit: (&'a Option<Quantity>, &'static str),
    ceiling: Option<&'a Quantity>,
}

impl Side<'_> {
    /// A ceiling is a limit, too: it holds for those who ask for nothing.
    fn missing(&self) -> Option<Finding> {
        let (limit, field) = self.limit;
        if limit.is_some() || self.ceiling.is_some() {
            return None;
        }
        Some(Finding::new(
            Rule::LimitsMissing,
            spec_path(["resource_defaults", field]),
            format!(
                "is not set, so that one sandbox can take all the {} of its machine unless the \
                 runner's zone defaults say otherwise",
                self.what
            ),
            format!("set {field}, or a resource_ceiling"),
        ))
    }

    fn alone(&self) -> Option<Finding> {
        let ((request, request_field), (limit, field)) = (self.request, self.limit);
        let limit = limit.as_ref()?;
        request.is_none().then(|| {
            Finding::new(
                Rule::LimitWithoutRequest,
                spec_path(["resource_defaults", field]),
                format!(
                    "is {limit} without a {request_field}, so that all of it is set aside for \
                     every sandbox, used or not"
                ),
                format!("set {request_field} to what a sandbox needs all the time"),
            )
        })
    }
}

fn floating(image: &ImageReference) -> Option<Finding> {
    let is_fixed = image.digest().is_some();
    let is_latest = image.tag() == Some(ImageReference::DEFAULT_TAG);
    (!is_fixed && is_latest).then(|| {
        Finding::new(
            Rule::ImageFloating,
            spec_path(["container_image"]),
            format!("is {}, which can be another image tomorrow", image.as_str()),
            "name a version by its tag, or better a digest: image@sha256:...",
        )
    })
}
