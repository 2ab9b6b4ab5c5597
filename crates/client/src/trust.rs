//! Whose certificates of servers are believed.

use std::fmt;

use reqwest::Certificate;

use crate::call::SetupError;

/// Whose certificates of servers are believed.
#[derive(Clone, Default)]
pub enum Trust {
    /// Those of the authorities that this machine knows.
    #[default]
    System,
    /// Those of these authorities alone, given in PEM.
    Only(Vec<u8>),
}

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::System => "System",
            Self::Only(_) => "Only",
        })
    }
}

impl Trust {
    /// The authorities for REST; `None` if the machine's own are meant.
    pub(crate) fn certificates(&self) -> Result<Option<Vec<Certificate>>, SetupError> {
        let Self::Only(pem) = self else {
            return Ok(None);
        };
        let certificates = Certificate::from_pem_bundle(pem);
        let certificates = certificates.map_err(|_| SetupError::BadCertificates)?;
        // Nobody would be believed, which is never meant.
        if certificates.is_empty() {
            return Err(SetupError::BadCertificates);
        }
        Ok(Some(certificates))
    }
}
