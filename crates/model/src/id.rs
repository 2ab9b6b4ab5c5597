//! Identifiers, one type for each thing that has one.
//!
//! Two of them can never be confused by the compiler. Parsing is the only way
//! in from text. Names that people choose live in [`crate::name`].

use std::fmt;
use std::str::FromStr;

use uuid::Uuid;

/// Text is not the identifier that it should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be a UUID such as 0192f3a0-7c3e-7b5c-9d2a-3f1e5a7b9c0d")]
pub struct NotAUuid;

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Uuid);

        impl $name {
            /// Takes a UUID as this identifier.
            pub const fn new(uuid: Uuid) -> Self {
                Self(uuid)
            }

            /// The UUID itself.
            pub const fn as_uuid(self) -> Uuid {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.as_hyphenated().fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = NotAUuid;

            /// Accepts the hyphenated form in either case and nothing else, so
            /// that one identifier has one spelling in paths and logs.
            fn from_str(text: &str) -> Result<Self, NotAUuid> {
                if text.len() != uuid::fmt::Hyphenated::LENGTH {
                    return Err(NotAUuid);
                }
                Uuid::try_parse(text).map(Self).map_err(|_| NotAUuid)
            }
        }
    };
}

uuid_id! {
    /// A profile, for as long as it exists; display names may be reused.
    ProfileId
}
uuid_id! {
    /// A runner object in the control plane.
    RunnerUid
}
uuid_id! {
    /// A cluster, or the one machine of a Linux runner.
    ClusterId
}
uuid_id! {
    /// A sandbox. `UUIDv7`: ids sort by the time of creation.
    SandboxId
}
uuid_id! {
    /// A snapshot of a file system. `UUIDv7`: ids sort by the time of creation.
    SnapshotId
}
uuid_id! {
    /// A secret store, for as long as it exists; names may be reused.
    SecretStoreId
}
uuid_id! {
    /// The public half of a token; its secret is never stored.
    TokenId
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_prints_as_it_was_parsed() {
        let text = "0192f3a0-7c3e-7b5c-9d2a-3f1e5a7b9c0d";
        assert_eq!(text.parse::<SandboxId>().unwrap().to_string(), text);
    }

    #[test]
    fn other_spellings_of_a_uuid_are_refused() {
        for text in [
            "",
            "0192f3a07c3e7b5c9d2a3f1e5a7b9c0d",
            "{0192f3a0-7c3e-7b5c-9d2a-3f1e5a7b9c0d}",
            "urn:uuid:0192f3a0-7c3e-7b5c-9d2a-3f1e5a7b9c0d",
            "0192f3a0-7c3e-7b5c-9d2a-3f1e5a7b9c0g",
        ] {
            assert_eq!(text.parse::<ProfileId>(), Err(NotAUuid), "{text}");
        }
    }
}
