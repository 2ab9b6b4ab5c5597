//! A right that the runner lacks in its cluster, read off the server's refusal.
//!
//! Pure. Every server with roles says it in the same words, which hold nothing
//! else that can be told apart from other refusals: the code and the reason of the
//! answer are the same for quotas and policies.

use std::fmt;

/// A right that somebody does not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MissingRight {
    verb: String,
    /// The kind of objects, with its group as in `networkpolicies.networking.k8s.io`.
    resource: String,
    /// Where; `None` for the whole cluster.
    namespace: Option<String>,
}

impl MissingRight {
    /// The right that a refusal is about, unless it is about something else.
    pub(crate) fn of(message: &str) -> Option<Self> {
        let (_, said) = message.split_once("is forbidden: User \"")?;
        let (_, said) = said.split_once("\" cannot ")?;
        let (verb, said) = said.split_once(' ')?;
        let quoted = |before: &str| {
            let (_, rest) = said.split_once(before)?;
            rest.split_once('"').map(|(text, _)| text.to_owned())
        };
        let mut resource = quoted("resource \"")?;
        let group = quoted("in API group \"").filter(|group| !group.is_empty());
        if let Some(group) = group {
            resource = format!("{resource}.{group}");
        }
        Some(Self {
            verb: verb.to_owned(),
            resource,
            namespace: quoted("in the namespace \""),
        })
    }
}

impl fmt::Display for MissingRight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (verb, resource) = (&self.verb, &self.resource);
        write!(f, "the runner may not {verb} {resource} in ")?;
        match &self.namespace {
            Some(namespace) => write!(f, "the namespace {namespace}")?,
            None => f.write_str("the whole cluster")?,
        }
        f.write_str(": the role that it has in the cluster lacks that right")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(message: &str) -> Option<String> {
        MissingRight::of(message).map(|right| right.to_string())
    }

    #[test]
    fn verb_resource_and_namespace_are_read_off() {
        let runner = "system:serviceaccount:palisade:palisade-runner";
        let message = format!(
            "networkpolicies.networking.k8s.io \"p\" is forbidden: User \"{runner}\" cannot patch \
             resource \"networkpolicies\" in API group \"networking.k8s.io\" in the namespace \"n\""
        );
        let expected = "the runner may not patch networkpolicies.networking.k8s.io in the namespace \
                        n: the role that it has in the cluster lacks that right";
        assert_eq!(told(&message).as_deref(), Some(expected));
    }

    #[test]
    fn a_right_in_the_whole_cluster_has_no_namespace() {
        let message = "namespaces is forbidden: User \"u\" cannot list resource \"namespaces\" in \
                       API group \"\" at the cluster scope: RBAC: clusterrole \"x\" not found";
        let expected = "the runner may not list namespaces in the whole cluster: the role that it \
                        has in the cluster lacks that right";
        assert_eq!(told(message).as_deref(), Some(expected));
    }

    #[test]
    fn what_is_forbidden_for_another_reason_is_no_right_that_is_missing() {
        for message in [
            "pods \"p\" is forbidden: exceeded quota: q, requested: pods=1",
            "pods \"p\" is forbidden: error looking up service account n/default: not found",
            "pods \"p\" is forbidden: User \"u\" cannot",
            "",
        ] {
            assert_eq!(MissingRight::of(message), None, "{message}");
        }
    }
}
