//! Reading the namespace block.

use super::{Decoder, Extent, fields};
use crate::document::{Fields, Node};
use crate::profile::{NamespaceSpec, NamespaceStrategy, StrategyKind};
use crate::violation::ViolationKind;

impl Decoder {
    pub(super) fn namespace(&mut self, node: &Node<'_>) -> NamespaceSpec {
        let Some(fields) = self.reader.fields(node, &fields::NAMESPACE) else {
            return NamespaceSpec::default();
        };
        NamespaceSpec {
            strategy: self.strategy(&fields),
            prefix: (fields.get("namespacePrefix")).and_then(|node| self.reader.parsed(&node)),
            auto_create: (fields.get("autoCreate")).and_then(|node| self.reader.boolean(&node)),
            labels: (fields.get("labels"))
                .map(|node| {
                    self.refuse_reserved(&node);
                    self.labels(&node)
                })
                .unwrap_or_default(),
            annotations: (fields.get("annotations"))
                .map(|node| {
                    self.refuse_reserved(&node);
                    self.annotations(&node)
                })
                .unwrap_or_default(),
        }
    }

    fn strategy(&mut self, fields: &Fields<'_>) -> Option<NamespaceStrategy> {
        let kind = fields
            .get("strategy")
            .and_then(|node| (self.reader).word(&node, &StrategyKind::ALL, StrategyKind::as_str));
        let node = fields.get("staticNamespace");
        let namespace = node.and_then(|node| self.reader.parsed(&node));
        if let Some(StrategyKind::Static) = kind {
            self.required(
                fields,
                "staticNamespace",
                "is required with strategy static; name the namespace",
            );
            return namespace.map(NamespaceStrategy::Static);
        }
        // In a merge of layers it may be left over from a layer that was
        // static; in what somebody wrote it would be without effect.
        if let Some(node) = node
            && self.extent == Extent::Layer
            && fields.get("strategy").is_none_or(|_| kind.is_some())
        {
            self.reader.refuse(
                &node,
                ViolationKind::Conflict,
                "has an effect only with strategy static; leave it out or choose that strategy",
            );
        }
        kind.and_then(plain_strategy)
    }
}

fn plain_strategy(kind: StrategyKind) -> Option<NamespaceStrategy> {
    match kind {
        StrategyKind::PerUser => Some(NamespaceStrategy::PerUser),
        StrategyKind::PerOrg => Some(NamespaceStrategy::PerOrg),
        StrategyKind::PerProfile => Some(NamespaceStrategy::PerProfile),
        StrategyKind::Static => None,
    }
}
