//! TLS to what is outside: the public roots, and a certificate of one's own beside them.

use std::sync::Arc;

use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};

use crate::{Result, Trouble};

/// What a client trusts: the public roots, and the certificates in `ca_pem`. The error: none of those can be read.
pub fn config(ca_pem: Option<&str>) -> Result<ClientConfig> {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    if let Some(pem) = ca_pem {
        for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
            let added = certificate.map_err(|e| format!("{e:?}")).and_then(|c| roots.add(c).map_err(|e| e.to_string()));
            added.map_err(|e| Trouble::lasting(format!("ca_pem holds no certificate that can be trusted ({e})")))?;
        }
    }
    Ok(ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|e| Trouble::lasting(format!("TLS can't be set up: {e}")))?
        .with_root_certificates(roots)
        .with_no_client_auth())
}
