//! Access to object storage, which this server does not give.
//!
//! What breaks the contract is wrong on every server, and told as that: who mended it
//! for one that has the feature need not find out there.

use palisade_model::refusal::Refusal;
use palisade_model::violation::{FieldPath, Violation, ViolationKind};

use crate::proto::v1beta2 as pb;

/// The longest prefix of objects, in bytes.
const PREFIX_BYTES_MAX: usize = 512;

/// Refuses what no server may take.
pub(super) fn check(access: &pb::ObjectStorageAccess) -> Result<(), Refusal> {
    check_prefix(&access.object_prefix).map_err(|description| {
        let path = FieldPath::from(["object_storage_access", "object_prefix"]);
        let violation = Violation::new(path, ViolationKind::Invalid, description);
        Refusal::invalid(vec![violation])
    })
}

/// Without a prefix it is all objects.
fn check_prefix(prefix: &str) -> Result<(), &'static str> {
    let is_known = |byte: u8| byte.is_ascii_alphanumeric() || b"._/-".contains(&byte);
    if prefix.is_empty() {
        Ok(())
    } else if prefix.len() > PREFIX_BYTES_MAX {
        Err("must have at most 512 bytes")
    } else if !prefix.bytes().all(is_known) {
        Err("must consist of letters, digits, '.', '_', '/' and '-'")
    } else if !prefix.starts_with(|first: char| first.is_ascii_alphanumeric()) {
        Err("must begin with a letter or a digit")
    } else if prefix.contains("..") || prefix.contains("//") {
        Err("must not contain '..' or '//'")
    } else if !prefix.ends_with('/') {
        Err("must end in '/'")
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_that_the_contract_forbids_is_refused_with_its_field() {
        let long = format!("{}/", "x".repeat(PREFIX_BYTES_MAX));
        for prefix in [
            "../x", "x", "/x/", ".x/", "x/../y/", "x//y/", "x y/", "ü/", &long,
        ] {
            let access = pb::ObjectStorageAccess {
                object_prefix: prefix.to_owned(),
                ..Default::default()
            };
            let refusal = check(&access).unwrap_err();
            let path = refusal.violations[0].path.to_string();
            assert_eq!(path, "object_storage_access.object_prefix", "{prefix}");
        }
        for prefix in ["", "x/", "team-a/Run_1/v1.2/", &long[1..]] {
            assert_eq!(check_prefix(prefix), Ok(()), "{prefix}");
        }
    }
}
