//! Reading amounts of resources.

use serde_json::{Number, Value};

use super::{Decoder, fields};
use crate::document::Node;
use crate::profile::{ResourceCeiling, ResourceDefaults};
use crate::quantity::Quantity;
use crate::violation::ViolationKind;

/// A JSON number with more digits than this may have lost some on its way.
const EXACT_DIGITS_MAX: usize = 15;

/// What a quantity counts.
#[derive(Clone, Copy)]
enum Unit {
    Cpu,
    Bytes,
}

/// Whether nothing at all is an amount.
///
/// For a limit it is not: where limits are enforced, zero means «no limit».
#[derive(Clone, Copy)]
enum Zero {
    Allowed,
    Refused,
}

impl Decoder {
    pub(super) fn resource_defaults(&mut self, node: &Node<'_>) -> ResourceDefaults {
        let Some(fields) = self.reader.fields(node, &fields::RESOURCE_DEFAULTS) else {
            return ResourceDefaults::default();
        };
        let mut read = |key, unit, zero| self.quantity(&fields.get(key)?, unit, zero);
        ResourceDefaults {
            cpu_request: read("cpuRequest", Unit::Cpu, Zero::Allowed),
            memory_request: read("memoryRequest", Unit::Bytes, Zero::Allowed),
            cpu_limit: read("cpuLimit", Unit::Cpu, Zero::Refused),
            memory_limit: read("memoryLimit", Unit::Bytes, Zero::Refused),
        }
    }

    pub(super) fn resource_ceiling(&mut self, node: &Node<'_>) -> ResourceCeiling {
        let Some(fields) = self.reader.fields(node, &fields::RESOURCE_CEILING) else {
            return ResourceCeiling::default();
        };
        let mut read = |key, unit| self.quantity(&fields.get(key)?, unit, Zero::Refused);
        ResourceCeiling {
            cpu: read("cpu", Unit::Cpu),
            memory: read("memory", Unit::Bytes),
            gpu: (fields.get("gpu")).and_then(|node| self.reader.count(&node)),
        }
    }

    fn quantity(&mut self, node: &Node<'_>, unit: Unit, zero: Zero) -> Option<Quantity> {
        let parsed = match node.value() {
            Value::String(text) => text.parse::<Quantity>(),
            Value::Number(number) if is_exact(number) => number.to_string().parse(),
            Value::Number(_) => {
                self.reader.refuse(
                    node,
                    ViolationKind::Invalid,
                    "has more digits than a number keeps; put it in quotes",
                );
                return None;
            }
            Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => {
                self.reader
                    .wrong_type(node, "a quantity such as 500m or 8Gi");
                return None;
            }
        };
        let quantity = self.reader.accept(node, parsed)?;
        match problem(&quantity, unit, zero) {
            Some(problem) => {
                self.reader.refuse(node, ViolationKind::Invalid, problem);
                None
            }
            None => Some(quantity),
        }
    }
}

/// Whether the text of the number is the one that was written, up to zeros.
fn is_exact(number: &Number) -> bool {
    let digits = number.to_string();
    let mantissa = digits.split(['e', 'E']).next().unwrap_or_default();
    let count = mantissa.bytes().filter(u8::is_ascii_digit).count();
    !number.is_f64() || count <= EXACT_DIGITS_MAX
}

fn problem(quantity: &Quantity, unit: Unit, zero: Zero) -> Option<&'static str> {
    let steps = match unit {
        Unit::Cpu => quantity.to_millis(),
        Unit::Bytes => quantity.to_units(),
    };
    if steps.is_none() {
        return Some("is more than any machine has");
    }
    if matches!(zero, Zero::Refused) && quantity.is_zero() {
        return Some("must be more than zero; leave it out to inherit");
    }
    // 400m bytes is a classic slip for 400Mi.
    if matches!(unit, Unit::Bytes) && quantity.is_fraction_of_unit() {
        return Some("is a part of a byte; for megabytes write M or Mi");
    }
    None
}
