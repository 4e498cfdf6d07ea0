//! The token that goes with each request to a server elsewhere that a person authorized: renewed in time, by one node at a
//! time, kept where the others find it, and shown to nobody but whom the person met.

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use futures_util::future::BoxFuture;
use http_client::header::HeaderValue;
use rmcp::transport::auth::{
    AuthError, AuthorizationManager, CredentialStore, InMemoryCredentialStore, OAuthClientConfig,
};
use tokio::sync::Mutex;

use crate::authorize::{Grant, manager, told};

/// How long a grant is used without a look at whether another node renewed it.
const LOOK_AGAIN: Duration = Duration::from_secs(15);
/// A token is renewed so long before its time is over, or when half of a shorter time is.
const EARLY_S: u64 = 30;
/// How long another node that renews is waited for, and how often it is looked whether it has.
const OTHERS: (Duration, Duration) = (Duration::from_secs(40), Duration::from_millis(250));
/// What is to be done when a grant is over.
const AGAIN: &str = "authorize it again: steward server authorize NAME";

/// Where the grant of a server is kept.
pub trait GrantKeeper: Send + Sync {
    /// The grant as it stands.
    fn load(&self) -> BoxFuture<'_, Result<Grant, String>>;
    /// Whether it may be renewed now: true for one node at a time, until it is kept or too much time has passed.
    fn hold(&self) -> BoxFuture<'_, Result<bool, String>>;
    /// Keeps it after it was renewed.
    fn save<'a>(&'a self, grant: &'a Grant) -> BoxFuture<'a, Result<(), String>>;
    /// It is over and can't be renewed; why. Whoever keeps it tells a person.
    fn over<'a>(&'a self, grant: &'a Grant, reason: &'a str) -> BoxFuture<'a, ()>;
}

/// What a server lets Steward do, as its [`crate::ServerSpec`] carries it.
#[derive(Clone)]
pub struct Granted {
    /// Where it is kept.
    pub keeper: Arc<dyn GrantKeeper>,
    /// When a person gave it: another time makes it another server.
    pub authorized_at: String,
}

/// Gives out the token.
pub(crate) struct Bearer {
    address: String,
    keeper: Arc<dyn GrantKeeper>,
    held: Mutex<Option<Held>>,
}

struct Held {
    grant: Grant,
    memory: InMemoryCredentialStore,
    manager: AuthorizationManager,
    looked: Instant,
}

impl Held {
    /// The token, and from when on it is to be renewed, in seconds since 1970.
    fn token(&self) -> (String, Option<u64>) {
        let kept = serde_json::to_value(&self.grant.credentials).unwrap_or_default();
        let token = kept["token_response"]["access_token"].as_str().unwrap_or_default().to_owned();
        let lasts = kept["token_response"]["expires_in"].as_u64().zip(kept["token_received_at"].as_u64());
        (token, lasts.map(|(seconds, received)| received + seconds - EARLY_S.min(seconds / 2)))
    }

    /// Takes up what is kept. False: it is what was held.
    async fn take_up(&mut self, kept: Grant) -> Result<bool, String> {
        let before = self.token().0;
        self.memory.save(kept.credentials.clone()).await.map_err(|e| told(&e))?;
        (self.grant, self.looked) = (kept, Instant::now());
        Ok(self.token().0 != before)
    }
}

fn sent_as(token: &str) -> Result<HeaderValue, String> {
    let mut header = HeaderValue::from_str(&format!("Bearer {token}")).map_err(|_| "the token can't be sent")?;
    header.set_sensitive(true);
    Ok(header)
}

fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

impl Bearer {
    pub(crate) fn new(address: &str, granted: &Granted) -> Self {
        Self { address: address.to_owned(), keeper: granted.keeper.clone(), held: Mutex::new(None) }
    }

    /// The header that goes with a request; the error says why there is none. `refused` is one that the server did not take.
    pub(crate) async fn header(&self, refused: Option<&HeaderValue>) -> Result<HeaderValue, String> {
        let mut place = self.held.lock().await;
        let mut held = match place.take() {
            Some(held) if held.looked.elapsed() < LOOK_AGAIN => held,
            before => self.look(before).await?,
        };
        let (token, due_s) = held.token();
        // Another request may have renewed it since.
        let is_refused = refused.is_some_and(|refused| *refused == format!("Bearer {token}"));
        if is_refused || due_s.is_some_and(|due| due <= now_s()) {
            self.renew(&mut held).await?;
        }
        let header = sent_as(&held.token().0);
        *place = Some(held);
        header
    }

    /// Renews the token, or takes up what another node renewed meanwhile.
    async fn renew(&self, held: &mut Held) -> Result<(), String> {
        let began = Instant::now();
        while !self.keeper.hold().await? {
            if began.elapsed() > OTHERS.0 {
                return Err("its authorization is being renewed by another node; try again".to_owned());
            }
            tokio::time::sleep(OTHERS.1).await;
            if held.take_up(self.load().await?).await? {
                return Ok(());
            }
        }
        // What another put before this one got hold of it counts.
        if held.take_up(self.load().await?).await? {
            return self.keeper.save(&held.grant).await;
        }
        match held.manager.refresh_token().await {
            Ok(_) => {
                let renewed = held.memory.load().await.map_err(|e| told(&e))?;
                held.grant.credentials = renewed.ok_or("nothing was renewed")?;
                self.keeper.save(&held.grant).await
            }
            Err(e @ (AuthError::AuthorizationRequired | AuthError::TokenRefreshRejected(_))) => {
                let reason = told(&e);
                self.keeper.over(&held.grant, &reason).await;
                Err(format!("its authorization is over ({reason}); {AGAIN}"))
            }
            Err(e) => {
                // Nobody need wait for the time to pass.
                self.keeper.save(&held.grant).await?;
                Err(format!("its authorization could not be renewed: {}", told(&e)))
            }
        }
    }

    async fn load(&self) -> Result<Grant, String> {
        let grant = self.keeper.load().await?;
        if grant.is_over || grant.address != self.address {
            return Err(format!("its authorization is over; {AGAIN}"));
        }
        Ok(grant)
    }

    /// The grant as it is kept, ready to be used; what was held before spares asking who authorizes.
    async fn look(&self, before: Option<Held>) -> Result<Held, String> {
        let grant = self.load().await?;
        if let Some(mut held) = before.filter(|held| held.grant.client_id == grant.client_id) {
            held.take_up(grant).await?;
            return Ok(held);
        }
        let memory = InMemoryCredentialStore::new();
        memory.save(grant.credentials.clone()).await.map_err(|e| told(&e))?;
        let mut manager = manager(&self.address, &memory).await?;
        let said = Some(grant.challenge.as_str()).filter(|said| !said.is_empty());
        let found = manager.resolve_metadata_from_challenge(said).await.map_err(|e| told(&e))?.metadata;
        // Who may see what renews it was settled when the person said yes.
        if (&found.issuer, &found.token_endpoint) != (&grant.issuer, &grant.token_endpoint) {
            return Err(format!(
                "somebody else than before would authorize it now ({}); {AGAIN}",
                found.token_endpoint
            ));
        }
        manager.set_metadata(found);
        let mut config = OAuthClientConfig::new(&grant.client_id, &grant.redirect_uri);
        if let Some(secret) = &grant.client_secret {
            config = config.with_client_secret(secret);
        }
        manager.configure_client(config).map_err(|e| told(&e))?;
        Ok(Held { grant, memory, manager, looked: Instant::now() })
    }
}
