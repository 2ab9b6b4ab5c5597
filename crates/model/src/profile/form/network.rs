//! Reading the network block.

use std::collections::{BTreeMap, BTreeSet};

use super::{CIDRS_MAX, Decoder, EGRESS_MODES_MAX, Extent, INGRESS_LEVELS_MAX, fields};
use crate::cidr::Cidr;
use crate::document::{Fields, Node, one_of, suggestion};
use crate::name::{LevelName, ModeName};
use crate::profile::{
    Annotation, Egress, EgressMode, EgressType, Exposure, Ingress, IngressRoute, NetworkSpec,
    Scope, ServiceSpec, ServiceType,
};
use crate::violation::ViolationKind;

/// What is wrong with an `egress` block that offers nothing.
const NO_MODES: &str = "must hold at least one mode; leave egress out if nothing may get out";

/// Modes as they were read; a mode that could not be read has its name only.
#[derive(Default)]
struct Modes {
    names: BTreeSet<ModeName>,
    modes: BTreeMap<ModeName, EgressMode>,
}

impl Decoder {
    pub(super) fn network(&mut self, node: &Node<'_>) -> Option<NetworkSpec> {
        let fields = self.reader.fields(node, &fields::NETWORK)?;
        Some(NetworkSpec {
            egress: (fields.get("egress")).and_then(|node| self.egress(&node)),
            ingress: (fields.get("ingress"))
                .map(|node| self.ingress(&node))
                .unwrap_or_default(),
        })
    }

    fn egress(&mut self, node: &Node<'_>) -> Option<Egress> {
        let fields = self.reader.fields(node, &fields::EGRESS)?;
        let default = fields.get("default");
        let default_name = default.and_then(|node| self.reader.parsed::<ModeName>(&node));
        let modes = self
            .required(&fields, "modes", NO_MODES)
            .map(|node| self.modes(&node));
        if self.extent == Extent::Fragment {
            return None;
        }
        // Where the modes could not be read, nothing can be said of the default.
        let Modes { names, modes } = modes??;
        let Some(default) = default else {
            let choice = one_of(&names.iter().collect::<Vec<_>>());
            self.reader.refuse_at(
                fields.path_of("default"),
                ViolationKind::Required,
                format!("must name the mode that applies when none is asked for: {choice}"),
            );
            return None;
        };
        let default_name = default_name?;
        if !names.contains(&default_name) {
            let names = names.iter().collect::<Vec<_>>();
            let description = format!(
                "names the mode {:?}, which is not among the modes: {}{}",
                default_name.as_str(),
                one_of(&names),
                suggestion(default_name.as_str(), &names)
            );
            self.reader
                .refuse(&default, ViolationKind::Invalid, description);
        }
        Egress::new(default_name, modes).ok()
    }

    /// `None` if nothing can be said of the modes; that is noted already.
    fn modes(&mut self, node: &Node<'_>) -> Option<Modes> {
        let entries = self.reader.entries(node, EGRESS_MODES_MAX)?;
        if entries.is_empty() && self.extent != Extent::Fragment {
            self.reader.refuse(node, ViolationKind::Required, NO_MODES);
            return None;
        }
        let mut modes = Modes::default();
        for (name, node) in entries {
            let mode = self.mode(&node);
            let Some(name) = self.reader.accept(&node, name.parse::<ModeName>()) else {
                continue;
            };
            modes.names.insert(name.clone());
            if let Some(mode) = mode {
                modes.modes.insert(name, mode);
            }
        }
        Some(modes)
    }

    fn mode(&mut self, node: &Node<'_>) -> Option<EgressMode> {
        let fields = self.reader.fields(node, &fields::MODE)?;
        let cidrs = fields.get("cidrs");
        let ranges = cidrs.and_then(|node| self.distinct::<Cidr>(&node, CIDRS_MAX));
        let choice = EgressType::ALL.map(EgressType::as_str);
        let what = format!("is required; one of {}", one_of(&choice));
        let kind = self
            .required(&fields, "type", &what)
            .and_then(|node| (self.reader).word(&node, &EgressType::ALL, EgressType::as_str))?;
        if let Some(mode) = EgressMode::plain(kind) {
            self.refuse_ranges(cidrs.as_ref(), kind);
            return Some(mode);
        }
        let has_ranges = cidrs.is_some_and(|node| node.value().as_array() != Some(&Vec::new()));
        if !has_ranges && self.extent != Extent::Fragment {
            self.reader.refuse_at(
                fields.path_of("cidrs"),
                ViolationKind::Required,
                "must hold at least one address range with type allowlist; use type none to allow nothing",
            );
        }
        ranges.map(EgressMode::Allowlist)
    }

    fn refuse_ranges(&mut self, cidrs: Option<&Node<'_>>, kind: EgressType) {
        let Some(node) = cidrs else { return };
        if node.value().as_array().is_some_and(|list| !list.is_empty()) {
            self.reader.refuse(
                node,
                ViolationKind::Conflict,
                format!(
                    "is for type allowlist only, and the type is {}",
                    kind.as_str()
                ),
            );
        }
    }

    fn ingress(&mut self, node: &Node<'_>) -> Ingress {
        let mut levels = Ingress::new();
        let entries = self.reader.entries(node, INGRESS_LEVELS_MAX);
        for (name, node) in entries.unwrap_or_default() {
            let level = self.exposure(&node);
            let name = self.reader.accept(&node, name.parse::<LevelName>());
            if let (Some(name), Some(level)) = (name, level) {
                levels.insert(name, level);
            }
        }
        levels
    }

    fn exposure(&mut self, node: &Node<'_>) -> Option<Exposure> {
        let fields = self.reader.fields(node, &fields::EXPOSURE)?;
        let what = format!(
            "is required: who may come in; one of {}",
            one_of(&Scope::ALL.map(Scope::as_str))
        );
        let scope = self
            .required(&fields, "scope", &what)
            .and_then(|node| self.reader.word(&node, &Scope::ALL, Scope::as_str));
        let expects_external_address =
            (fields.get("expectsExternalAddress")).and_then(|node| self.reader.boolean(&node));
        let service = fields.get("service").map(|node| self.service(&node));
        let route = (fields.get("ingress")).and_then(|node| self.route(&node));
        Some(Exposure {
            scope: scope?,
            expects_external_address: expects_external_address.unwrap_or(false),
            service: service.unwrap_or_default(),
            route,
        })
    }

    fn service(&mut self, node: &Node<'_>) -> ServiceSpec {
        let Some(fields) = self.reader.fields(node, &fields::SERVICE) else {
            return ServiceSpec::default();
        };
        let service_type = fields
            .get("serviceType")
            .and_then(|node| (self.reader).word(&node, &ServiceType::ALL, ServiceType::as_str));
        ServiceSpec {
            service_type: service_type.unwrap_or_default(),
            selector_annotation: (fields.get("serviceSelectorAnnotation"))
                .and_then(|node| self.annotation(&node)),
            dns_annotation: (fields.get("dnsAnnotation")).and_then(|node| self.annotation(&node)),
        }
    }

    fn annotation(&mut self, node: &Node<'_>) -> Option<Annotation> {
        let fields = self.reader.fields(node, &fields::ANNOTATION)?;
        let key = self.required_text(&fields, "key");
        let value = self.required_text(&fields, "value");
        // A fragment with only one of them is checked with a stand-in.
        let made = match self.extent {
            Extent::Fragment => Annotation::new(
                key.unwrap_or_else(|| "key".to_owned()),
                value.unwrap_or_default(),
            ),
            Extent::Layer | Extent::Merged => Annotation::new(key?, value?),
        };
        self.reader.accept(node, made)
    }

    fn required_text<'n>(&mut self, fields: &Fields<'n>, key: &'n str) -> Option<String> {
        let node = self.required(
            fields,
            key,
            "is required; an annotation has a key and a value",
        )?;
        self.reader.text(&node).map(str::to_owned)
    }

    fn route(&mut self, node: &Node<'_>) -> Option<IngressRoute> {
        let fields = self.reader.fields(node, &fields::ROUTE)?;
        let controller_name = self
            .required(
                &fields,
                "controllerName",
                "is required: the cluster's ingress controller, such as nginx",
            )
            .and_then(|node| self.reader.parsed(&node));
        let template = self
            .required(
                &fields,
                "template",
                "is required: a host name such as {{.SandboxID}}.sandboxes.example.com",
            )
            .and_then(|node| self.reader.parsed(&node));
        Some(IngressRoute {
            controller_name: controller_name?,
            template: template?,
        })
    }
}
