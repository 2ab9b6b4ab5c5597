//! Why the certificate of a server is not believed.
//!
//! The libraries below say it in words of their own, at the end of a chain of errors
//! that differs between REST and gRPC. Here it is read once, so that people are told
//! what is wrong and what helps.

use std::error::Error;
use std::fmt;
use std::io;

use rustls::CertificateError;

/// Why the certificate of a server is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadCertificate {
    /// It is the certificate of an authority (`CA:TRUE`), which may sign others and
    /// must not stand for a server.
    OfAuthority,
    /// It was signed by nobody who is trusted.
    UnknownIssuer,
    /// It is for other names and addresses.
    OtherName,
    /// It is good no more, or not yet.
    OutOfDate,
}

impl BadCertificate {
    /// What of it is the cause of an error, if it is.
    pub(crate) fn among(error: &(dyn Error + 'static)) -> Option<Self> {
        let mut next = Some(error);
        while let Some(error) = next {
            if let Some(found) = Self::of(error) {
                return Some(found);
            }
            next = error.source();
        }
        None
    }

    fn of(error: &(dyn Error + 'static)) -> Option<Self> {
        if let Some(error) = error.downcast_ref::<io::Error>() {
            // Its own source is what lies behind that one.
            return Self::of(error.get_ref()?);
        }
        let error = error.downcast_ref::<rustls::Error>()?;
        if let rustls::Error::InvalidCertificate(wrong) = error {
            Self::read(wrong)
        } else {
            None
        }
    }

    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "what else can be wrong is told in the library's words, also what is new"
    )]
    fn read(wrong: &CertificateError) -> Option<Self> {
        match wrong {
            CertificateError::UnknownIssuer => Some(Self::UnknownIssuer),
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                Some(Self::OtherName)
            }
            CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. } => Some(Self::OutOfDate),
            // It has no name here, and the one that it has below is its text.
            CertificateError::Other(other) if other.to_string().contains(AS_END_ENTITY) => {
                Some(Self::OfAuthority)
            }
            _ => None,
        }
    }
}

/// What is said below of the certificate of an authority that stands for a server.
const AS_END_ENTITY: &str = "CaUsedAsEndEntity";

impl fmt::Display for BadCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OfAuthority => {
                "its certificate is that of an authority (CA:TRUE), and none of these may stand \
                 for a server"
            }
            Self::UnknownIssuer => "its certificate was signed by nobody who is trusted",
            Self::OtherName => "its certificate is for other names and addresses than this one",
            Self::OutOfDate => "its certificate is good no more, or not yet",
        })
    }
}

#[cfg(test)]
mod tests;
