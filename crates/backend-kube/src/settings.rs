//! What a cluster calls things, and what its operator accepts.
//!
//! Decided once, when the runner starts, and the same for every sandbox of it.

use std::collections::BTreeMap;
use std::num::NonZeroU16;
use std::time::Duration;

use palisade_model::cidr::Cidr;

/// What is particular to a cluster. The default suits one of `CoreWeave`, and
/// most others.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Tells the sandboxes of this runner from those of others in the cluster: a
    /// value of a label, the same after a restart.
    pub instance: String,
    /// The label of nodes that holds their instance type.
    pub instance_type_label: String,
    /// The extended resource that GPUs are.
    pub gpu_resource: String,
    /// The label of nodes that holds the type of their GPUs.
    pub gpu_type_label: String,
    /// The label of nodes that holds the memory of each GPU, in GB.
    pub gpu_memory_label: String,
    /// The resolver that sandboxes may ask: labels of its namespace.
    pub dns_namespace_labels: BTreeMap<String, String>,
    /// The resolver that sandboxes may ask: labels of its pods.
    pub dns_pod_labels: BTreeMap<String, String>,
    /// Ranges of nodes, pods and Services, closed to the mode `internet` even
    /// where they are public addresses. What nodes say of themselves need not be here.
    pub cluster_ranges: Vec<Cidr>,
    /// The namespace of the Secrets that sandboxes may be given; without one there
    /// are none.
    pub secrets_namespace: Option<String>,
    /// Whether profiles that need a network policy run where it is not known
    /// that the cluster enforces any.
    pub enforcement: Enforcement,
    /// The image of the pods that find out whether the cluster enforces network
    /// policies: it has a shell and the `nc` of busybox.
    pub probe_image: String,
    /// The image of this system: where a sandbox is to be asked what it reaches, the
    /// program that does comes out of it. Without one, such sandboxes are refused.
    pub program_image: Option<String>,
    /// How commands, files and ports of sandboxes are reached past the API server;
    /// `None` is not at all.
    pub direct_exec: Option<DirectExec>,
    /// Whether network policies of this cluster know ranges of ports. Found out
    /// when the cluster is opened.
    pub has_port_ranges: bool,
    /// How long a namespace that was made for sandboxes is kept without any; for
    /// ever if `None`.
    pub namespace_idle: Option<Duration>,
}

/// How the runner reaches an agent in a sandbox.
///
/// Somebody can: a policy for nobody would close the port to the runner itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectExec {
    port: NonZeroU16,
    pods: Option<RunnerPods>,
    ranges: Vec<Cidr>,
}

/// The pods of the runner, for a network policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunnerPods {
    /// Where they are.
    pub namespace: String,
    /// The labels that they have, and no other pods there.
    pub labels: BTreeMap<String, String>,
}

/// Sandboxes cannot be reached directly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoDirectExec {
    /// Nothing says out of which image the agent comes.
    #[error("it takes an image of this program, out of which sandboxes get it: --program-image")]
    NoProgram,
    /// Nothing says whom the policies of sandboxes are to let in.
    #[error(
        "network policies have to let this runner into sandboxes, and nothing says what it is \
         to them: a runner in the cluster says the labels of its pod (--direct-exec-label), \
         any other one the range that its connections come from (--direct-exec-from)"
    )]
    NoCallers,
}

impl DirectExec {
    /// The port at which agents listen unless something else is said. Below those
    /// that connections of a sandbox itself come from.
    pub const PORT: NonZeroU16 = NonZeroU16::new(17_717).expect("it is not zero");

    /// Agents at this port, and those who may call them.
    pub fn new(
        port: NonZeroU16,
        pods: Option<RunnerPods>,
        ranges: Vec<Cidr>,
    ) -> Result<Self, NoDirectExec> {
        // Without labels these would be all pods of the namespace.
        let pods = pods.filter(|pods| !pods.labels.is_empty());
        if pods.is_none() && ranges.is_empty() {
            return Err(NoDirectExec::NoCallers);
        }
        Ok(Self { port, pods, ranges })
    }

    /// The port at which agents listen.
    pub fn port(&self) -> NonZeroU16 {
        self.port
    }

    /// The pods that may call them.
    pub fn pods(&self) -> Option<&RunnerPods> {
        self.pods.as_ref()
    }

    /// The ranges that may call them.
    pub fn ranges(&self) -> &[Cidr] {
        &self.ranges
    }
}

/// What is done where network policies may have no effect.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Enforcement {
    /// A profile that needs a policy is refused until a probe has shown that the
    /// cluster enforces them.
    #[default]
    Required,
    /// The operator accepts that nothing holds sandboxes back: every profile
    /// runs.
    AcceptNone,
    /// The operator states that the cluster enforces them, and how is not asked.
    Trusted,
}

impl Default for Settings {
    fn default() -> Self {
        let pair = |key: &str, value: &str| BTreeMap::from([(key.to_owned(), value.to_owned())]);
        Self {
            instance: "palisade".to_owned(),
            instance_type_label: "node.kubernetes.io/instance-type".to_owned(),
            gpu_resource: "nvidia.com/gpu".to_owned(),
            gpu_type_label: "gpu.nvidia.com/class".to_owned(),
            gpu_memory_label: "gpu.nvidia.com/vram".to_owned(),
            dns_namespace_labels: pair("kubernetes.io/metadata.name", "kube-system"),
            dns_pod_labels: pair("k8s-app", "kube-dns"),
            cluster_ranges: Vec::new(),
            secrets_namespace: None,
            enforcement: Enforcement::default(),
            probe_image: "busybox:stable".to_owned(),
            program_image: None,
            direct_exec: None,
            has_port_ranges: true,
            namespace_idle: Some(Duration::from_mins(10)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_may_call_agents_has_to_be_known() {
        let pods = |labels: &[(&str, &str)]| RunnerPods {
            namespace: "palisade".to_owned(),
            labels: labels
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect(),
        };
        let range: Cidr = "192.0.2.1/32".parse().unwrap();
        let new = |pods, ranges| DirectExec::new(DirectExec::PORT, pods, ranges);
        for pods in [None, Some(pods(&[]))] {
            assert_eq!(new(pods, Vec::new()), Err(NoDirectExec::NoCallers));
        }
        assert!(new(None, vec![range]).is_ok());
        assert!(new(Some(pods(&[("a", "b")])), Vec::new()).is_ok());
    }
}
