//! How a session with PostgreSQL is begun: UTC, bounded statements, bounded waiting, TLS, and the primary of several hosts.

use std::{sync::Arc, time::Duration};

use tokio_postgres::{config::TargetSessionAttrs, tls::MakeTlsConnect};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::{Error, Result};

/// The target with what every session of ours needs. Of several hosts the one that takes writes is meant, which after a
/// failover is another than before. A statement is planned once a connection: it is written so that one plan serves
/// whatever its values, and planning one of many arms anew costs several times its run. Nor is it compiled: that takes longer
/// than any of ours runs.
pub(crate) fn session_settings(target: &tokio_postgres::Config, connect_timeout: Duration) -> tokio_postgres::Config {
    let mut config = target.clone();
    let ours = "-c app.session=steward -c timezone=UTC -c statement_timeout=30000 -c lock_timeout=10000 -c idle_in_transaction_session_timeout=60000 \
         -c plan_cache_mode=force_generic_plan -c jit=off";
    let options = config.get_options().map_or_else(|| ours.to_owned(), |given| format!("{ours} {given}"));
    config.options(options);
    steady(&mut config, connect_timeout);
    config
}

/// The same through a pooler that refuses what a session is begun with: each transaction sets it for itself.
pub(super) fn pooled_settings(target: &tokio_postgres::Config, connect_timeout: Duration) -> tokio_postgres::Config {
    let mut config = target.clone();
    steady(&mut config, connect_timeout);
    config
}

fn steady(config: &mut tokio_postgres::Config, connect_timeout: Duration) {
    // A socket has no name that a certificate could bear, and nobody listens between.
    #[cfg(unix)]
    if config.get_hosts().iter().all(|host| matches!(host, tokio_postgres::config::Host::Unix(_))) {
        config.ssl_mode(tokio_postgres::config::SslMode::Disable);
    }
    config.application_name("steward");
    config.keepalives_idle(Duration::from_secs(30)).tcp_user_timeout(Duration::from_secs(30));
    let hosts = u32::try_from(config.get_hosts().len()).unwrap_or(u32::MAX).max(1);
    // Each host gets its share of the time, or a silent first one would leave nothing for the others.
    config.connect_timeout(connect_timeout / hosts);
    if hosts > 1 && config.get_target_session_attrs() == TargetSessionAttrs::Any {
        config.target_session_attrs(TargetSessionAttrs::ReadWrite);
    }
}

/// The same for a standby. It is one server: how far it has come is asked of one connection and believed of all.
pub(super) fn replica_settings(
    target: &tokio_postgres::Config,
    connect_timeout: Duration,
) -> Result<tokio_postgres::Config> {
    let mut config = session_settings(target, connect_timeout);
    if config.get_hosts().len() > 1 {
        return Err(Error::Config(
            "read_replica_url names several servers; name one, since each is behind by its own measure".to_owned(),
        ));
    }
    config.target_session_attrs(TargetSessionAttrs::Any);
    Ok(config)
}

/// Bounds a session's statements and its waiting for locks (a third of it); what the address itself sets goes before.
pub(super) fn bound_statements(target: &tokio_postgres::Config, limit: Duration) -> tokio_postgres::Config {
    let mut config = target.clone();
    let limit_ms = limit.as_millis().max(1);
    let ours = format!("-c statement_timeout={limit_ms} -c lock_timeout={}", (limit_ms / 3).max(1));
    let options = config.get_options().map_or_else(|| ours.clone(), |given| format!("{ours} {given}"));
    config.options(options);
    config
}

/// TLS where the host has a name. A socket has none, and a session on it asks for no TLS; but this is asked all the same.
#[derive(Clone)]
pub(crate) struct Tls(MakeRustlsConnect);

impl<S> MakeTlsConnect<S> for Tls
where
    MakeRustlsConnect: MakeTlsConnect<S>,
{
    type Stream = <MakeRustlsConnect as MakeTlsConnect<S>>::Stream;
    type TlsConnect = <MakeRustlsConnect as MakeTlsConnect<S>>::TlsConnect;
    type Error = <MakeRustlsConnect as MakeTlsConnect<S>>::Error;

    fn make_tls_connect(&mut self, host: &str) -> Result<Self::TlsConnect, Self::Error> {
        MakeTlsConnect::<S>::make_tls_connect(&mut self.0, if host.is_empty() { "localhost" } else { host })
    }
}

/// TLS with the public roots; used when the server offers it or the URL asks for it (`sslmode`).
pub(crate) fn tls() -> Tls {
    let roots = rustls::RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map(|b| b.with_root_certificates(roots).with_no_client_auth());
    match config {
        Ok(config) => Tls(MakeRustlsConnect::new(config)),
        Err(e) => unreachable!("ring offers the default protocol versions: {e}"),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio_postgres::config::TargetSessionAttrs;

    use super::{bound_statements, replica_settings, session_settings};

    fn target(url: &str) -> tokio_postgres::Config {
        url.parse().unwrap()
    }

    #[test]
    fn several_hosts_mean_the_one_that_takes_writes() {
        let limit = Duration::from_secs(30);
        let one = session_settings(&target("postgres://a@h1/d"), limit);
        assert_eq!(one.get_target_session_attrs(), TargetSessionAttrs::Any);
        let two = session_settings(&target("postgres://a@h1,h2/d"), limit);
        assert_eq!(two.get_target_session_attrs(), TargetSessionAttrs::ReadWrite);
        assert_eq!(two.get_connect_timeout(), Some(&Duration::from_secs(15)), "each host gets its share");
        let standby = replica_settings(&target("postgres://a@h1/d"), limit).unwrap();
        assert_eq!(standby.get_target_session_attrs(), TargetSessionAttrs::Any);
        assert!(replica_settings(&target("postgres://a@h1,h2/d"), limit).is_err(), "each is behind by its own measure");
    }

    #[cfg(unix)]
    #[test]
    fn a_socket_is_reached_without_tls() {
        let session = session_settings(&target("postgres://a@%2Fvar%2Frun%2Fpostgresql/d"), Duration::from_secs(1));
        assert_eq!(session.get_ssl_mode(), tokio_postgres::config::SslMode::Disable);
        let both = session_settings(&target("postgres://a@%2Fvar%2Frun,h/d"), Duration::from_secs(1));
        assert_eq!(both.get_ssl_mode(), tokio_postgres::config::SslMode::Prefer);
    }

    #[test]
    fn what_the_address_sets_goes_before() {
        let bounded =
            bound_statements(&target("postgres://a@h/d?options=-cstatement_timeout%3D5"), Duration::from_secs(3));
        let options = session_settings(&bounded, Duration::from_secs(1));
        let options = options.get_options().unwrap();
        let place = |text: &str| options.find(text).unwrap_or_else(|| panic!("{text} is not in {options}"));
        assert!(place("statement_timeout=30000") < place("statement_timeout=3000 "), "{options}");
        assert!(place("statement_timeout=3000 ") < place("statement_timeout=5"), "{options}");
        assert!(options.contains("lock_timeout=1000"), "{options}");
    }
}
