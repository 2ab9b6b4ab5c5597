//! What holds when no layer speaks.
//!
//! Each default lives here once, behind the accessor through which everybody
//! reads the field, so that discovery, placement and launch cannot disagree.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use crate::name::{InstanceType, ModeName};
use crate::profile::{
    Egress, EgressMode, Ingress, NamespaceSpec, NamespaceStrategy, NetworkSpec, PodPatch,
    ProfileSpec,
};

/// The one mode of a profile without egress: nothing gets out.
static CLOSED: LazyLock<Egress> = LazyLock::new(|| {
    let name = ModeName::new("none").expect("none is a DNS label");
    let modes = BTreeMap::from([(name.clone(), EgressMode::None)]);
    Egress::new(name, modes).expect("the only mode is the default")
});

static NO_INGRESS: Ingress = Ingress::new();

impl ProfileSpec {
    /// The outbound modes; a single one named `none` when no layer has any.
    pub fn egress(&self) -> &Egress {
        self.network
            .as_ref()
            .and_then(|network| network.egress.as_ref())
            .unwrap_or(&CLOSED)
    }

    /// The inbound levels; none when no layer has any.
    pub fn ingress(&self) -> &Ingress {
        match &self.network {
            Some(NetworkSpec { ingress, .. }) => ingress,
            None => &NO_INGRESS,
        }
    }

    /// The classes of machines that will do; empty when any will.
    ///
    /// The list in the pod patch is an older place for the same wish.
    pub fn instance_types(&self) -> Vec<InstanceType> {
        match &self.instance_types {
            Some(list) => list.clone(),
            None => self
                .pod
                .as_ref()
                .map(PodPatch::instance_types)
                .unwrap_or_default(),
        }
    }
}

impl NamespaceSpec {
    /// How sandboxes are grouped; per user when no layer says.
    pub fn strategy(&self) -> &NamespaceStrategy {
        self.strategy
            .as_ref()
            .unwrap_or(&NamespaceStrategy::PerUser)
    }

    /// Whether a missing namespace is made; yes when no layer says.
    pub fn auto_create(&self) -> bool {
        self.auto_create.unwrap_or(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spec_without_a_network_reaches_nothing_and_is_reached_by_nobody() {
        for network in [None, Some(NetworkSpec::default())] {
            let spec = ProfileSpec {
                network,
                ..ProfileSpec::default()
            };
            assert_eq!(spec.egress().default_name().as_str(), "none");
            assert_eq!(spec.egress().modes().len(), 1);
            assert_eq!(
                spec.egress().mode(spec.egress().default_name()),
                Some(&EgressMode::None)
            );
            assert!(spec.ingress().is_empty());
        }
    }

    #[test]
    fn a_spec_without_a_namespace_is_per_user_and_makes_it() {
        let spec = NamespaceSpec::default();
        assert_eq!(spec.strategy(), &NamespaceStrategy::PerUser);
        assert!(spec.auto_create());
    }
}
