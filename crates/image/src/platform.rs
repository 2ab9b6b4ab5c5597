//! For which machine an image is made.
//!
//! Names are those of the image specification, which are Go's. Only Linux
//! images can run here, so the operating system is not part of a [`Platform`].

use std::fmt;

/// An architecture, with the variant where the specification has one.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Platform {
    architecture: String,
    variant: Option<String>,
}

impl Platform {
    /// The machine that this program runs on.
    pub fn of_this_machine() -> Self {
        let (architecture, variant) = match std::env::consts::ARCH {
            "x86_64" => ("amd64", None),
            "x86" => ("386", None),
            "aarch64" => ("arm64", Some("v8")),
            "arm" => ("arm", Some("v7")),
            "powerpc64" => ("ppc64le", None),
            other => (other, None),
        };
        Self::new(architecture, variant)
    }

    /// A platform by its names in the image specification.
    pub fn new(architecture: &str, variant: Option<&str>) -> Self {
        Self {
            architecture: architecture.to_owned(),
            variant: variant.filter(|text| !text.is_empty()).map(str::to_owned),
        }
    }

    /// The architecture, such as `amd64`.
    pub fn architecture(&self) -> &str {
        &self.architecture
    }

    /// The variant, such as `v7`.
    pub fn variant(&self) -> Option<&str> {
        self.variant.as_deref()
    }

    /// Whether an image for `self` runs on `machine`.
    ///
    /// An image that names no variant runs on each of the architecture; for
    /// 32-bit ARM an older variant runs on a newer machine.
    pub fn runs_on(&self, machine: &Self) -> bool {
        if self.architecture != machine.architecture {
            return false;
        }
        match (&self.variant, &machine.variant) {
            (None, _) | (_, None) => true,
            (Some(image), Some(machine)) if self.architecture == "arm" => image <= machine,
            (Some(image), Some(machine)) => image == machine,
        }
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "linux/{}", self.architecture)?;
        match &self.variant {
            Some(variant) => write!(f, "/{variant}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variant_must_fit_and_a_missing_one_fits() {
        let arm = |variant| Platform::new("arm", Some(variant));
        assert!(arm("v6").runs_on(&arm("v7")));
        assert!(!arm("v7").runs_on(&arm("v6")));
        let arm64 = Platform::new("arm64", Some("v8"));
        assert!(Platform::new("arm64", None).runs_on(&arm64));
        assert!(!Platform::new("amd64", None).runs_on(&arm64));
        assert!(!Platform::new("arm64", Some("v9")).runs_on(&arm64));
    }

    #[test]
    fn an_empty_variant_is_none() {
        assert_eq!(
            Platform::new("amd64", Some("")),
            Platform::new("amd64", None)
        );
    }
}
