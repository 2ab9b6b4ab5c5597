//! How callers point at things that have both an id and a name.
//!
//! A text in a path or on a command line can be either. Something whose id is
//! that text is meant first, and something with that name otherwise: a name
//! that looks like an id must not hide what has the id.

use palisade_model::id::{ProfileId, RunnerUid};
use palisade_model::name::{DisplayName, NameError, RunnerId};
use std::str::FromStr;

macro_rules! reference {
    ($(#[$doc:meta])* $name:ident, $id:ident, $text:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct $name {
            id: Option<$id>,
            name: Option<$text>,
        }

        impl $name {
            /// The id that is looked for first.
            pub fn id(&self) -> Option<$id> {
                self.id
            }

            /// The name that is looked for if nothing has the id.
            pub fn name(&self) -> Option<&$text> {
                self.name.as_ref()
            }
        }

        impl From<$id> for $name {
            fn from(id: $id) -> Self {
                Self { id: Some(id), name: None }
            }
        }

        impl From<$text> for $name {
            /// Points by the name alone, even if it looks like an id.
            fn from(name: $text) -> Self {
                Self { id: None, name: Some(name) }
            }
        }

        impl FromStr for $name {
            type Err = NameError;

            /// Takes a text that is an id, a name or both.
            fn from_str(text: &str) -> Result<Self, NameError> {
                let id = text.parse().ok();
                match text.parse() {
                    Ok(name) => Ok(Self { id, name: Some(name) }),
                    Err(_) if id.is_some() => Ok(Self { id, name: None }),
                    Err(error) => Err(error),
                }
            }
        }
    };
}

reference! {
    /// A profile by its id or its display name.
    ProfileRef, ProfileId, DisplayName
}
reference! {
    /// A runner by its uid or by the id that its operator chose.
    RunnerRef, RunnerUid, RunnerId
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0192F3A0-7C3E-7B5C-9D2A-3F1E5A7B9C0D";

    #[test]
    fn a_text_that_could_be_both_is_both() {
        let reference: ProfileRef = ID.parse().unwrap();
        assert_eq!(reference.id(), ID.parse().ok());
        assert_eq!(reference.name(), ID.parse().ok().as_ref());
    }

    #[test]
    fn a_text_that_cannot_be_a_name_is_an_id_alone() {
        // Upper case is not allowed in the id of a runner.
        let reference: RunnerRef = ID.parse().unwrap();
        assert_eq!(reference.id(), ID.parse().ok());
        assert_eq!(reference.name(), None);
    }

    #[test]
    fn a_text_that_is_neither_is_refused() {
        assert!("".parse::<ProfileRef>().is_err());
        assert!("Not A Label".parse::<RunnerRef>().is_err());
    }
}
