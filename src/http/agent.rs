//! The agent that speaks HTTP and TLS: one place for time limits, certificates and proxies.

use std::time::Duration;

use ureq::tls::{Certificate, ClientCert, RootCerts, TlsConfig};
use ureq::unversioned::resolver::DefaultResolver;
use ureq::unversioned::transport::DefaultConnector;

use super::resolver::RememberingResolver;

/// What an agent is made with, beside what all have in common.
#[derive(Clone, Debug)]
pub struct Connection {
    /// How long a server may stay silent.
    pub patience: Duration,
    /// Certificate authorities that are trusted beside the system's.
    pub authorities: Vec<Certificate<'static>>,
    /// How the client shows who it is.
    pub certificate: Option<ClientCert>,
    /// Whether any certificate is taken.
    pub any_certificate: bool,
    /// Whether the proxies of the environment (`HTTPS_PROXY`, `NO_PROXY`, …) are used.
    pub proxy: bool,
}

impl Default for Connection {
    fn default() -> Self {
        Self {
            patience: Duration::from_mins(1),
            authorities: Vec::new(),
            certificate: None,
            any_certificate: false,
            proxy: true,
        }
    }
}

impl Connection {
    /// An agent that follows no redirects and takes every status for an answer.
    pub fn agent(self) -> ureq::Agent {
        let tls = TlsConfig::builder()
            .root_certs(roots(self.authorities))
            .client_cert(self.certificate)
            .disable_verification(self.any_certificate)
            .build();
        let config = ureq::Agent::config_builder()
            .tls_config(tls)
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .user_agent(concat!("pyoci/", env!("CARGO_PKG_VERSION")))
            .timeout_connect(Some(Duration::from_secs(30)))
            .timeout_recv_response(Some(self.patience))
            .timeout_per_read(Some(self.patience))
            .max_idle_connections(32)
            .max_idle_connections_per_host(16);
        let config = if self.proxy { config } else { config.proxy(None) };
        ureq::Agent::with_parts(
            config.build(),
            DefaultConnector::default(),
            RememberingResolver::<DefaultResolver>::default(),
        )
    }
}

/// The system's verifier takes no other authorities beside its own: with some, the two are put together here. Both read
/// `SSL_CERT_FILE` and `SSL_CERT_DIR`.
fn roots(authorities: Vec<Certificate<'static>>) -> RootCerts {
    if authorities.is_empty() {
        return RootCerts::PlatformVerifier;
    }
    let system = rustls_native_certs::load_native_certs().certs;
    let system = system
        .iter()
        .map(|der| Certificate::from_der(der.as_ref()).to_owned());
    authorities.into_iter().chain(system).collect::<Vec<_>>().into()
}
