//! Clients that come with TLS, and certificates that are replaced.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use palisade_http_router::{CertificateError, Certificates, Limits, Side};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::place::{HOST, PATIENCE, Place, echo};

fn kept(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/router/certificates")
        .join(name)
}

/// A directory with a certificate and its key.
fn files(name: &str) -> tempfile::TempDir {
    let directory = tempfile::tempdir().expect("there is room");
    put(directory.path(), &format!("{name}.pem"), "chain.pem");
    put(directory.path(), &format!("{name}.key.pem"), "key.pem");
    directory
}

/// Replaces a file, as tools that renew certificates do.
fn put(directory: &Path, from: &str, to: &str) {
    let new = directory.join("new");
    std::fs::copy(kept(from), &new).expect("the file is kept here");
    std::fs::rename(new, directory.join(to)).expect("both are in one directory");
}

fn load(directory: &Path) -> Result<Certificates, CertificateError> {
    Certificates::load(directory.join("chain.pem"), directory.join("key.pem"))
}

/// What a client hears that trusts this certificate only; `None` if it does not trust.
async fn ask(place: &Place, serving: &Certificates, trusted: &str) -> Option<String> {
    let listener = TcpListener::bind("127.0.0.1:0")
        .await
        .expect("loopback works");
    let address = listener.local_addr().expect("it is bound");
    place.tasks.spawn(
        place
            .router
            .clone()
            .serve_tls(listener, serving.clone(), Side::Outside),
    );
    let mut roots = RootCertStore::empty();
    let chain = CertificateDer::from_pem_file(kept(trusted)).expect("it is a certificate");
    roots.add(chain).expect("it can be trusted");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let client = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("they are known")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect(address).await.expect("loopback works");
    let name = ServerName::try_from(HOST).expect("it is a name");
    let shaken = TlsConnector::from(Arc::new(client)).connect(name, stream);
    let mut stream = timeout(PATIENCE, shaken).await.expect("it answers").ok()?;
    let request = format!("GET / HTTP/1.1\r\nhost: {HOST}\r\nconnection: close\r\n\r\n");
    stream
        .write_all(request.as_bytes())
        .await
        .expect("it listens");
    let mut answer = Vec::new();
    let read = stream.read_to_end(&mut answer);
    timeout(PATIENCE, read)
        .await
        .expect("it answers")
        .expect("it ends");
    Some(String::from_utf8(answer).expect("it is text"))
}

async fn place() -> Place {
    let place = Place::new(Limits::default()).await;
    place.route(HOST, place.server(|stream| echo(stream, "box")).await);
    place
}

#[tokio::test]
async fn requests_come_with_tls_and_sandboxes_are_told() {
    let place = place().await;
    let files = files("first");
    let serving = load(files.path()).unwrap();
    let answer = ask(&place, &serving, "first.pem").await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.contains("x-forwarded-proto: https"), "{answer}");
}

#[tokio::test]
async fn a_certificate_that_is_replaced_is_in_force_when_it_goes_with_its_key() {
    let place = place().await;
    let files = files("first");
    let serving = load(files.path()).unwrap();
    assert!(!serving.refresh().unwrap());
    put(files.path(), "second.pem", "chain.pem");
    let refused = serving.refresh().unwrap_err();
    assert!(
        matches!(refused, CertificateError::Mismatch(_)),
        "{refused}"
    );
    let before = ask(&place, &serving, "first.pem").await;
    assert!(before.is_some());
    put(files.path(), "second.key.pem", "key.pem");
    assert!(serving.refresh().unwrap());
    let stale = ask(&place, &serving, "first.pem").await;
    assert_eq!(stale, None);
    let after = ask(&place, &serving, "second.pem").await;
    assert!(after.is_some());
}

#[test]
fn files_without_a_certificate_are_refused_by_their_name() {
    let files = files("first");
    std::fs::write(files.path().join("key.pem"), "no key").unwrap();
    let refused = load(files.path()).unwrap_err();
    assert!(refused.to_string().contains("key.pem"), "{refused}");
    std::fs::remove_file(files.path().join("chain.pem")).unwrap();
    let refused = load(files.path()).unwrap_err();
    assert!(matches!(refused, CertificateError::Unreadable { .. }));
}
