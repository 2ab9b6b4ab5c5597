//! What a sandbox gets of each resource.
//!
//! As in Kubernetes: a limit without a request is also the request. The request
//! of a sandbox has the last word over the defaults of its profile, and what it
//! leaves out never contradicts what it says: a default limit gives way to a
//! larger request, a default request to a smaller limit. A limit that nobody
//! set is the lowest ceiling, if there is one, and then nothing is set aside
//! unless somebody said so.

use crate::profile::ProfileSpec;
use crate::quantity::Quantity;
use crate::runner::Resources;
use crate::sandbox::{GpuRequest, GrantedResources, StartRequest};
use crate::tenant::SandboxQuota;

/// What a sandbox gets, borrowed from whoever said so.
#[derive(Clone, Copy, Debug)]
pub(super) struct Amounts<'a> {
    /// CPU.
    pub(super) cpu: Amount<'a>,
    /// Memory.
    pub(super) memory: Amount<'a>,
    /// GPUs.
    pub(super) gpu: Option<&'a GpuRequest>,
    /// What has to be set aside; amounts beyond all machines are the largest
    /// number there is.
    pub(super) reserved: Resources,
}

/// What a sandbox gets of CPU or memory.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Amount<'a> {
    /// What is set aside.
    pub(super) request: Option<&'a Quantity>,
    /// What can at most be used, if a layer or the request said so.
    pub(super) limit: Option<&'a Quantity>,
    /// The most that the profile allows.
    pub(super) ceiling: Option<&'a Quantity>,
    /// The most that the organization may start.
    pub(super) quota: Option<&'a Quantity>,
}

/// Two sides of one resource, as one layer states them.
#[derive(Clone, Copy, Debug, Default)]
struct Stated<'a> {
    request: Option<&'a Quantity>,
    limit: Option<&'a Quantity>,
}

impl<'a> Stated<'a> {
    fn new(request: Option<&'a Quantity>, limit: Option<&'a Quantity>) -> Self {
        Self { request, limit }
    }
}

impl<'a> Amounts<'a> {
    pub(super) fn new(
        request: &'a StartRequest,
        spec: &'a ProfileSpec,
        quota: &'a SandboxQuota,
    ) -> Self {
        let StartRequest {
            requests, limits, ..
        } = request;
        let defaults = &spec.resource_defaults;
        let ceiling = &spec.resource_ceiling;
        let cpu = layered(
            Stated::new(requests.cpu.as_ref(), limits.cpu.as_ref()),
            Stated::new(defaults.cpu_request.as_ref(), defaults.cpu_limit.as_ref()),
        );
        let memory = layered(
            Stated::new(requests.memory.as_ref(), limits.memory.as_ref()),
            Stated::new(
                defaults.memory_request.as_ref(),
                defaults.memory_limit.as_ref(),
            ),
        );
        let gpu = limits.gpu.as_ref().or(requests.gpu.as_ref());
        Self {
            reserved: reserved(cpu, memory, gpu),
            cpu: Amount {
                ceiling: ceiling.cpu.as_ref(),
                quota: quota.cpu.as_ref(),
                ..cpu
            },
            memory: Amount {
                ceiling: ceiling.memory.as_ref(),
                quota: quota.memory.as_ref(),
                ..memory
            },
            gpu,
        }
    }

    /// The amounts as a backend is told them.
    pub(super) fn granted(&self) -> GrantedResources {
        let (cpu_request, cpu_limit) = self.cpu.granted();
        let (memory_request, memory_limit) = self.memory.granted();
        GrantedResources {
            cpu_request,
            cpu_limit,
            memory_request,
            memory_limit,
            gpu: self.gpu.cloned(),
        }
    }
}

impl<'a> Amount<'a> {
    /// The most that the sandbox wants to use.
    pub(super) fn peak(&self) -> Option<&'a Quantity> {
        self.limit.or(self.request)
    }

    /// The most that the sandbox will be able to use, if there is a limit.
    pub(super) fn bound(&self) -> Option<&'a Quantity> {
        self.limit.or(self.lowest())
    }

    /// The lowest of what is allowed.
    pub(super) fn lowest(&self) -> Option<&'a Quantity> {
        [self.ceiling, self.quota].into_iter().flatten().min()
    }

    fn granted(&self) -> (Option<Quantity>, Option<Quantity>) {
        match (self.limit, self.lowest()) {
            (None, Some(lowest)) => {
                let request = self.request.cloned().unwrap_or_else(nothing);
                (Some(request), Some(lowest.clone()))
            }
            (limit, _) => (self.request.cloned(), limit.cloned()),
        }
    }
}

fn reserved(cpu: Amount<'_>, memory: Amount<'_>, gpu: Option<&GpuRequest>) -> Resources {
    let cpu = cpu.request.map(Quantity::to_millis);
    let memory = memory.request.map(Quantity::to_units);
    Resources {
        cpu_millis: cpu.map_or(0, |amount| amount.unwrap_or(u64::MAX)),
        memory_bytes: memory.map_or(0, |amount| amount.unwrap_or(u64::MAX)),
        gpus: gpu.map_or(0, |gpu| gpu.count),
    }
}

/// An amount of nothing, where leaving it out would mean something else.
fn nothing() -> Quantity {
    "0".parse().expect("zero is a quantity")
}

fn layered<'a>(asked: Stated<'a>, default: Stated<'a>) -> Amount<'a> {
    let limit = match (asked.limit, asked.request) {
        (Some(limit), _) => Some(limit),
        (None, Some(request)) => default.limit.map(|limit| limit.max(request)),
        (None, None) => default.limit,
    };
    let request = match (asked.request, asked.limit) {
        (Some(request), _) => Some(request),
        (None, Some(limit)) => Some(default.request.map_or(limit, |request| request.min(limit))),
        (None, None) => default.request.or(default.limit),
    };
    Amount {
        request,
        limit,
        ..Amount::default()
    }
}
