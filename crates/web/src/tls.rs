//! TLS by rustls, where a certificate is given: read at start, and again when its files change, so that a renewed one
//! takes effect without a restart. Connections that are open keep theirs.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, SystemTime},
};

use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tokio_util::sync::CancellationToken;

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(30);
/// How long a client may take to agree on keys.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// Where certificate (with its chain) and private key lie, both PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate, its own first.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// A certificate in use.
#[derive(Debug)]
pub struct Tls {
    files: TlsFiles,
    present: Arc<Present>,
    config: Arc<ServerConfig>,
}

/// The certificate that new connections get.
#[derive(Debug)]
struct Present(RwLock<Arc<CertifiedKey>>);

impl ResolvesServerCert for Present {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner)))
    }
}

/// An error that names the file, says what is wrong with it, and what would be right.
fn wrong(file: &Path, what: impl std::fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("{}: {what}", file.display()))
}

impl TlsFiles {
    fn read(&self) -> io::Result<Arc<CertifiedKey>> {
        let chain = CertificateDer::pem_file_iter(&self.certificate)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(|e| wrong(&self.certificate, format_args!("no certificate in PEM can be read: {e}")))?;
        if chain.is_empty() {
            return Err(wrong(&self.certificate, "it holds no certificate; it must hold one in PEM, with its chain"));
        }
        let key = PrivateKeyDer::from_pem_file(&self.key)
            .map_err(|e| wrong(&self.key, format_args!("no private key in PEM can be read: {e}")))?;
        CertifiedKey::from_der(chain, key, &ring::default_provider())
            .map(Arc::new)
            .map_err(|e| wrong(&self.key, format_args!("it does not go with {}: {e}", self.certificate.display())))
    }

    /// When either was last written; None: one of them can't be seen now.
    fn written(&self) -> Option<[SystemTime; 2]> {
        let of = |file: &Path| std::fs::metadata(file).and_then(|m| m.modified()).ok();
        Some([of(&self.certificate)?, of(&self.key)?])
    }
}

impl Tls {
    /// Reads certificate and key. Blocking. The error says which file is wrong, and how.
    pub fn open(files: TlsFiles) -> io::Result<Self> {
        let present = Arc::new(Present(RwLock::new(files.read()?)));
        let resolver: Arc<dyn ResolvesServerCert> = Arc::<Present>::clone(&present);
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .with_no_client_auth()
            .with_cert_resolver(resolver);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { files, present, config: Arc::new(config) })
    }

    /// Reads the files again. Blocking.
    pub fn reload(&self) -> io::Result<()> {
        let read = self.files.read()?;
        *self.present.0.write().unwrap_or_else(PoisonError::into_inner) = read;
        Ok(())
    }

    /// Agrees on keys with a client, within ten seconds.
    pub(crate) async fn accept(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        let acceptor = TlsAcceptor::from(Arc::clone(&self.config));
        tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)).await.map_err(|_| io::ErrorKind::TimedOut)?
    }

    /// Looks at the files until `shutdown`. What can't be used changes nothing, and is told once.
    pub(crate) async fn follow(self: Arc<Self>, shutdown: CancellationToken) {
        let mut seen = self.files.written();
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(LOOK) => {}
            }
            let tls = Arc::clone(&self);
            let looked = tokio::task::spawn_blocking(move || {
                let written = tls.files.written();
                let reloaded = if written.is_some() && written != seen { Some(tls.reload()) } else { None };
                (written, reloaded)
            });
            let Ok((written, reloaded)) = looked.await else { return };
            match reloaded {
                None => {}
                Some(Ok(())) => tracing::info!("the certificate was read anew; connections get it from now on"),
                Some(Err(e)) => {
                    tracing::error!(error = %e, "a changed certificate can't be used; the one before stays in use");
                }
            }
            seen = written.or(seen);
        }
    }
}
