use std::io::Read as _;
use std::net::TcpListener;
use std::sync::Arc;
use std::thread;

use reqwest::Method;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::Value;

use super::*;
use crate::call::{Call, Client};
use crate::error::CallError;
use crate::trust::Trust;

type Pem = &'static [u8];

const AUTHORITY: (Pem, Pem) = (
    include_bytes!("authority.pem"),
    include_bytes!("authority.key.pem"),
);
const SERVER: (Pem, Pem) = (
    include_bytes!("server.pem"),
    include_bytes!("server.key.pem"),
);

/// The port of a server that shows this certificate, until the test ends.
fn showing((chain, key): (Pem, Pem)) -> u16 {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let chain = CertificateDer::pem_slice_iter(chain).map(Result::unwrap);
    let key = PrivateKeyDer::from_pem_slice(key).unwrap();
    let config = ServerConfig::builder().with_no_client_auth();
    let mut config = config.with_single_cert(chain.collect(), key).unwrap();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut stream = StreamOwned::new(connection, stream.unwrap());
            // The handshake is a part of reading.
            drop(stream.read(&mut [0; 64]));
        }
    });
    port
}

/// What both ways to a server say of its certificate.
async fn told(shown: (Pem, Pem), host: &str, trusted: Pem) -> [Option<BadCertificate>; 2] {
    let server = format!("https://{host}:{}", showing(shown));
    let trust = Trust::Only(trusted.to_vec());
    let client = Client::trusting(server.parse().unwrap(), "pal_secret", trust).unwrap();
    let call = Call::new(Method::GET, &["x"]);
    let over_rest = client.read::<Value>(call).await.unwrap_err();
    let sandboxes = client.sandboxes().unwrap();
    let over_grpc = sandboxes.get("x").await.unwrap_err();
    [over_rest, over_grpc].map(|error: CallError| error.bad_certificate())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_is_not_believed_is_told_why_on_both_ways() {
    let cases = [
        (
            AUTHORITY,
            "127.0.0.1",
            AUTHORITY.0,
            BadCertificate::OfAuthority,
        ),
        (SERVER, "127.0.0.1", SERVER.0, BadCertificate::UnknownIssuer),
        (SERVER, "localhost", AUTHORITY.0, BadCertificate::OtherName),
    ];
    for (shown, host, trusted, expected) in cases {
        assert_eq!(told(shown, host, trusted).await, [Some(expected); 2]);
    }
    // It is believed, and says nothing.
    assert_eq!(told(SERVER, "127.0.0.1", AUTHORITY.0).await, [None; 2]);
}
