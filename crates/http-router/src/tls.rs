//! TLS in front of the router, from files that an operator names and replaces at any
//! time.
//!
//! What is in force is always a chain and a key that go together: files that do not are
//! told, and those before stay in force.

use std::fmt;
use std::fs::Metadata;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::SystemTime;

use rustls::ServerConfig;
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

/// Why there is no TLS with these files.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// A file could not be looked at.
    #[error("could not read {path}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        #[source]
        source: io::Error,
    },
    /// A file holds something else.
    #[error("could not read certificates or a key in PEM from {path}")]
    NotPem {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        #[source]
        source: pem::Error,
    },
    /// The key is that of another certificate, or neither can be used.
    #[error("certificate and key do not go together")]
    Mismatch(#[source] rustls::Error),
}

/// A chain of certificates and its key, as the files have them. Cheap to clone.
#[derive(Clone)]
pub struct Certificates(Arc<Inner>);

struct Inner {
    chain: PathBuf,
    key: PathBuf,
    acceptor: RwLock<TlsAcceptor>,
    /// What the files looked like when they were last in force.
    stamps: Mutex<[Stamp; 2]>,
}

/// Changes when a file is replaced or written.
type Stamp = (Option<SystemTime>, u64);

impl Certificates {
    /// Reads a chain of certificates and a private key, both in PEM.
    pub fn load(chain: PathBuf, key: PathBuf) -> Result<Self, CertificateError> {
        let stamps = [stamp(&chain)?, stamp(&key)?];
        let acceptor = acceptor(&chain, &key)?;
        Ok(Self(Arc::new(Inner {
            chain,
            key,
            acceptor: RwLock::new(acceptor),
            stamps: Mutex::new(stamps),
        })))
    }

    /// Reads the files again if they have changed; tells whether they had. Blocks.
    pub fn refresh(&self) -> Result<bool, CertificateError> {
        let inner = &*self.0;
        let stamps = [stamp(&inner.chain)?, stamp(&inner.key)?];
        let mut known = inner.stamps.lock().unwrap_or_else(PoisonError::into_inner);
        if *known == stamps {
            return Ok(false);
        }
        let acceptor = acceptor(&inner.chain, &inner.key)?;
        let mut current = inner
            .acceptor
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        *current = acceptor;
        *known = stamps;
        Ok(true)
    }

    /// What answers handshakes now.
    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        let current = self.0.acceptor.read();
        current.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificates")
            .field("chain", &self.0.chain)
            .finish_non_exhaustive()
    }
}

fn stamp(path: &Path) -> Result<Stamp, CertificateError> {
    let found = std::fs::metadata(path);
    let found: Metadata = found.map_err(|source| CertificateError::Unreadable {
        path: path.to_path_buf(),
        source,
    })?;
    Ok((found.modified().ok(), found.len()))
}

fn acceptor(chain: &Path, key: &Path) -> Result<TlsAcceptor, CertificateError> {
    let in_file = |path: &Path| {
        let path = path.to_path_buf();
        move |source| CertificateError::NotPem { path, source }
    };
    let certificates = CertificateDer::pem_file_iter(chain)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(in_file(chain))?;
    let secret = PrivateKeyDer::from_pem_file(key).map_err(in_file(key))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(CertificateError::Mismatch)?
        .with_no_client_auth()
        .with_single_cert(certificates, secret)
        .map_err(CertificateError::Mismatch)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}
