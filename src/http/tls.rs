//! TLS for incoming connections.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use arc_swap::ArcSwap;
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        crypto::ring,
        pki_types::{
            CertificateDer, PrivateKeyDer,
            pem::{self, PemObject},
        },
    },
};

use crate::process::unreadable;

const CERTIFICATE: &str = "LACUNA_TLS_CERT";
const KEY: &str = "LACUNA_TLS_KEY";

/// ALPN protocol names (RFC 7301).
pub const HTTP2: &[u8] = b"h2";
const HTTP1: &[u8] = b"http/1.1";

/// A certificate chain and key, reloadable: new connections use what was loaded last.
#[derive(Debug)]
pub struct Tls {
    certificate: PathBuf,
    key: PathBuf,
    config: ArcSwap<ServerConfig>,
}

impl Tls {
    /// Loads a certificate chain and its key, both PEM.
    ///
    /// # Errors
    /// A message naming the file and what is wrong with it.
    pub fn load(certificate: PathBuf, key: PathBuf) -> Result<Self, String> {
        let config = ArcSwap::new(read(&certificate, &key)?);
        Ok(Self { certificate, key, config })
    }

    /// Reloads both files. On error nothing changes.
    ///
    /// # Errors
    /// Same as [`Tls::load`].
    pub fn reload(&self) -> Result<(), String> {
        self.config.store(read(&self.certificate, &self.key)?);
        Ok(())
    }

    /// An acceptor with the current certificate.
    pub fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.config.load_full())
    }
}

/// The message for a PEM file that cannot be used.
fn of_file(setting: &str, path: &Path, error: pem::Error) -> String {
    match error {
        pem::Error::Io(error) => unreadable(setting, path, &error),
        other => format!("{setting} {}: {other}", path.display()),
    }
}

fn read(certificate: &PathBuf, key: &PathBuf) -> Result<Arc<ServerConfig>, String> {
    let of_certificate = |what: String| format!("{CERTIFICATE} {}: {what}", certificate.display());
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| of_file(CERTIFICATE, certificate, error))?;
    if chain.is_empty() {
        return Err(of_certificate("no certificate in it".to_owned()));
    }
    let secret = PrivateKeyDer::from_pem_file(key).map_err(|error| of_file(KEY, key, error))?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|config| config.with_no_client_auth().with_single_cert(chain, secret))
        .map_err(|error| of_certificate(error.to_string()))?;
    config.alpn_protocols = vec![HTTP2.to_vec(), HTTP1.to_vec()];
    Ok(Arc::new(config))
}
