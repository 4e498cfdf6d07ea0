//! TLS on a real socket: it answers, marks its cookie, takes a new certificate, and refuses a broken one.

use std::sync::Arc;

use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::TlsConnector;
use tokio_util::sync::CancellationToken;

use super::house::{House, PASSWORD};
use crate::{Tls, TlsFiles};

/// A certificate for localhost in these files.
fn certificate(files: &TlsFiles) -> CertificateDer<'static> {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    std::fs::write(&files.certificate, made.cert.pem()).unwrap();
    std::fs::write(&files.key, made.signing_key.serialize_pem()).unwrap();
    made.cert.der().clone()
}

async fn ask(
    address: std::net::SocketAddr,
    trusted: &CertificateDer<'static>,
    request: &str,
) -> Result<String, String> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.clone()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect(address).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let mut stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await.map_err(|e| e.to_string())?;
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // The server ends the connection, as it was asked to.
    stream.read_to_end(&mut answer).await.unwrap();
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

#[tokio::test]
async fn tls_answers_and_takes_a_new_certificate() {
    let (house, _) = House::with_ada().await;
    let folder = tempfile::tempdir().unwrap();
    let files = TlsFiles { certificate: folder.path().join("cert.pem"), key: folder.path().join("key.pem") };
    assert!(Tls::open(files.clone()).unwrap_err().to_string().contains("cert.pem"), "the error names the file");
    let first = certificate(&files);
    let tls = Arc::new(Tls::open(files.clone()).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let shutdown = CancellationToken::new();
    let server = tokio::spawn(crate::serve_tls(listener, house.state.clone(), Arc::clone(&tls), shutdown.clone()));

    let body = serde_json::json!({"login": "ada", "password": PASSWORD}).to_string();
    let log_in = format!(
        "POST /v1/auth/login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let answer = ask(address, &first, &log_in).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let cookie = answer.lines().find(|l| l.starts_with("set-cookie: steward_session=")).unwrap();
    assert!(cookie.contains("Secure") && cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"), "{cookie}");
    assert!(answer.contains("strict-transport-security: max-age="), "{answer}");

    let alive = "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let second = certificate(&files);
    assert!(ask(address, &second, alive).await.is_err(), "it still shows the first one");
    tls.reload().unwrap();
    assert!(ask(address, &second, alive).await.unwrap().starts_with("HTTP/1.1 200"));
    assert!(ask(address, &first, alive).await.is_err());
    // A broken one changes nothing.
    std::fs::write(&files.key, "nonsense").unwrap();
    assert!(tls.reload().unwrap_err().to_string().contains("key.pem"));
    assert!(ask(address, &second, alive).await.unwrap().starts_with("HTTP/1.1 200"));
    // Who speaks no TLS is not answered.
    let mut plain = TcpStream::connect(address).await.unwrap();
    plain.write_all(alive.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    drop(plain.read_to_end(&mut answer).await);
    assert!(!String::from_utf8_lossy(&answer).contains("HTTP/1.1"));
    shutdown.cancel();
    server.await.unwrap().unwrap();
}
