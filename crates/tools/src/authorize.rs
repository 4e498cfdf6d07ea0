//! OAuth 2.1 for servers elsewhere: from the server's own word on who authorizes (RFC 9728, RFC 8414), over a client that is
//! known or registered there, to a grant that a person gave in the browser. The protocol itself is rmcp's; here stand which
//! way is taken, what is kept, and that every request goes through the guard of [`outside::http`].

use std::sync::Arc;

use outside::{
    address::Reach,
    http::{Client, Request},
};
use rmcp::transport::auth::{
    AuthorizationManager, AuthorizationRequest, AuthorizationSession, CredentialStore, InMemoryCredentialStore,
    OAuthHttpClient, OAuthHttpClientError, OAuthHttpClientFuture, OAuthHttpRedirectPolicy, OAuthHttpRequest,
    StoredCredentials,
};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::json;

/// What a document or an answer of an authorization server may have, in bytes.
const DOCUMENT_BYTES: usize = 256 * 1024;
/// The revision of the protocol in which a server is asked what it wants.
const REVISION: &str = "2025-11-25";
/// What Steward calls itself where it registers.
const CLIENT_NAME: &str = "Steward";

/// Who Steward is to an authorization server.
#[derive(Debug, Clone, Default)]
pub struct ClientIdentity {
    /// The name under which it is known there; without one it registers itself.
    pub id: Option<String>,
    /// The secret that goes with the name.
    pub secret: Option<SecretString>,
    /// The address of a document that describes it, for servers that take such a name.
    pub document: Option<String>,
}

/// What a server lets Steward do, with all that is needed to renew it. It holds secrets: it is kept sealed alone.
#[derive(Clone, Serialize, Deserialize)]
pub struct Grant {
    pub(crate) client_id: String,
    pub(crate) client_secret: Option<String>,
    pub(crate) redirect_uri: String,
    /// The server it is for, and who authorizes for it: nobody else is shown what renews it.
    pub(crate) address: String,
    pub(crate) issuer: Option<String>,
    pub(crate) token_endpoint: String,
    /// What the server said when it was asked without a token: some say there alone who authorizes.
    pub(crate) challenge: String,
    pub(crate) credentials: StoredCredentials,
    /// When a person gave it; it stays the same while it is renewed.
    pub authorized_at: String,
    /// It is over, and can't be renewed.
    #[serde(default)]
    pub is_over: bool,
}

impl Grant {
    /// The same, over.
    #[must_use]
    pub fn ended(&self) -> Self {
        Self { is_over: true, ..self.clone() }
    }
}

impl std::fmt::Debug for Grant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Grant").field("authorized_at", &self.authorized_at).finish_non_exhaustive()
    }
}

/// An authorization that waits for a person's yes in the browser.
pub struct Authorization {
    session: AuthorizationSession,
    memory: InMemoryCredentialStore,
    client: (String, Option<String>),
    address: String,
    issuer: Option<String>,
    token_endpoint: String,
    challenge: String,
}

impl std::fmt::Debug for Authorization {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Authorization")
    }
}

/// What a server says when it is asked without a token: its challenge, where it wants one; `None` where it answers anybody.
/// Some greet everybody, and want to know who it is that looks at their tools.
pub async fn challenge(address: &str) -> Result<Option<String>, String> {
    let client = Client::new(reach(address), DOCUMENT_BYTES).map_err(|e| e.to_string())?;
    let us = json!({"name": "steward", "version": env!("CARGO_PKG_VERSION")});
    let hello = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
        "protocolVersion": REVISION, "capabilities": {}, "clientInfo": us,
    }});
    let list = json!({"jsonrpc": "2.0", "id": 2, "method": "tools/list", "params": {}});
    let mut session = None;
    for (message, is_greeting) in [(hello, true), (list, false)] {
        let mut asked = Request::post(address, "application/json", message.to_string().into_bytes())
            .header("accept", "application/json, text/event-stream");
        if let Some(session) = session.take() {
            asked = asked.header("mcp-session-id", session);
        }
        if !is_greeting {
            asked = asked.header("mcp-protocol-version", REVISION);
        }
        let answer = client.send_once(asked).await.map_err(|e| e.to_string())?;
        match answer.status {
            401 | 403 => return Ok(Some(answer.header("www-authenticate").unwrap_or_default().to_owned())),
            200..=299 => session = answer.header("mcp-session-id").map(str::to_owned),
            status if is_greeting => {
                return Err(format!("the server answered {status}, and neither lets Steward in nor says who may"));
            }
            _ => {}
        }
    }
    Ok(None)
}

fn guarded(place: &str) -> Result<(), String> {
    if is_guarded(place) {
        return Ok(());
    }
    Err(format!("{place} is not encrypted, and what is granted would be read on the way; use https"))
}

impl Authorization {
    /// Finds out who authorizes for the server, makes Steward known there, and answers what a person is to open. `scopes` are
    /// asked for beside those that the server names.
    pub async fn begin(
        address: &str,
        redirect_uri: &str,
        identity: ClientIdentity,
        challenge: Option<&str>,
        scopes: &[String],
    ) -> Result<Self, String> {
        guarded(address)?;
        let memory = InMemoryCredentialStore::new();
        let mut manager = manager(address, &memory).await?;
        let found = manager.resolve_metadata_from_challenge(challenge.filter(|said| !said.is_empty())).await;
        let metadata = found.map_err(|e| told(&e))?.metadata;
        let takes_documents = metadata
            .additional_fields
            .get("client_id_metadata_document_supported")
            .and_then(serde_json::Value::as_bool);
        // The token goes to the server with each request, and a secret comes back where Steward is made known.
        let places = [address, &metadata.authorization_endpoint, &metadata.token_endpoint];
        for place in places.into_iter().chain(metadata.registration_endpoint.as_deref()) {
            guarded(place)?;
        }
        let (issuer, token_endpoint) = (metadata.issuer.clone(), metadata.token_endpoint.clone());
        manager.set_metadata(metadata);
        let mut wanted = manager.select_scopes(None, &[]);
        wanted.extend(scopes.iter().filter(|scope| !wanted.contains(scope)).cloned().collect::<Vec<_>>());
        let document = identity.document.filter(|_| takes_documents == Some(true));
        let (id, secret) = match (identity.id, document) {
            (Some(id), _) => (id, identity.secret.map(|secret| secret.expose_secret().to_owned())),
            (None, Some(document)) => (document, None),
            (None, None) => {
                let names: Vec<&str> = wanted.iter().map(String::as_str).collect();
                let registered = manager.register_client(CLIENT_NAME, redirect_uri, &names).await.map_err(|e| {
                    format!("{}; register Steward there by hand, and name it with --client-id", told(&e))
                })?;
                (registered.client_id, registered.client_secret)
            }
        };
        let mut request = AuthorizationRequest::new(redirect_uri).with_preregistered_client(id.clone());
        if let Some(secret) = &secret {
            request = request.with_client_secret(secret.clone());
        }
        if !wanted.is_empty() {
            request = request.with_scopes(wanted);
        }
        let session = AuthorizationSession::new(manager, request).await.map_err(|(_, e)| told(&e))?;
        Ok(Self {
            session,
            memory,
            client: (id, secret),
            address: address.to_owned(),
            issuer,
            token_endpoint,
            challenge: challenge.unwrap_or_default().to_owned(),
        })
    }

    /// What the person is to open in the browser.
    pub fn url(&self) -> &str {
        self.session.get_authorization_url()
    }

    /// The browser was sent back to this address: fetches what was granted.
    pub async fn finish(self, returned_to: &str, authorized_at: String) -> Result<Grant, String> {
        self.session.handle_callback_url(returned_to).await.map_err(|e| told(&e))?;
        let kept = self.memory.load().await.map_err(|e| told(&e))?;
        let credentials = kept.ok_or("the authorization server gave nothing")?;
        let (client_id, client_secret) = self.client;
        let redirect_uri = self.session.redirect_uri.clone();
        let (address, issuer, token_endpoint) = (self.address, self.issuer, self.token_endpoint);
        Ok(Grant {
            client_id,
            client_secret,
            redirect_uri,
            address,
            issuer,
            token_endpoint,
            challenge: self.challenge,
            credentials,
            authorized_at,
            is_over: false,
        })
    }
}

/// rmcp's side of it, over our own way out.
pub(crate) async fn manager(address: &str, memory: &InMemoryCredentialStore) -> Result<AuthorizationManager, String> {
    let client = Client::new(reach(address), DOCUMENT_BYTES).map_err(|e| e.to_string())?;
    let made = AuthorizationManager::new_with_oauth_http_client(address, Arc::new(Way(client))).await;
    let mut manager = made.map_err(|e| told(&e))?;
    manager.set_credential_store(memory.clone());
    Ok(manager)
}

/// The public net, and the machine that the owner named, wherever it is.
fn reach(address: &str) -> Reach {
    let host = http_client::Url::parse(address).ok().and_then(|url| url.host_str().map(str::to_owned));
    Reach::with(host)
}

/// Whether nobody on the way reads what is sent there: it is encrypted, or stays on this machine.
fn is_guarded(place: &str) -> bool {
    let Ok(url) = http_client::Url::parse(place) else { return false };
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    url.scheme() == "https" || host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// An error and what lies behind it, in a line.
pub(crate) fn told(error: &dyn std::error::Error) -> String {
    let mut said = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let more = inner.to_string();
        if !said.contains(&more) {
            said = format!("{said}: {more}");
        }
        cause = inner.source();
    }
    said.chars().filter(|c| !c.is_control()).take(500).collect()
}

/// The way out for what the protocol asks for.
struct Way(Client);

impl OAuthHttpClient for Way {
    fn execute(&self, asked: OAuthHttpRequest) -> OAuthHttpClientFuture<'_> {
        Box::pin(async move {
            let (head, body) = asked.request.into_parts();
            let url = head.uri.to_string();
            let kind = head.headers.get("content-type").and_then(|kind| kind.to_str().ok());
            let mut request = match head.method.as_str() {
                "GET" => Request::get(url),
                method => Request::post(url, kind.unwrap_or("application/octet-stream"), body).method(method)?,
            };
            for (name, value) in head.headers.iter().filter(|(name, _)| *name != "content-type") {
                request = request.header(name.as_str(), value.to_str()?);
            }
            let answer = match asked.redirect_policy {
                OAuthHttpRedirectPolicy::Stop => self.0.send_once(request).await?,
                _ => self.0.send(request).await?,
            };
            let mut response = http::Response::builder().status(answer.status);
            for (name, value) in &answer.headers {
                response = response.header(name, value);
            }
            Ok::<_, OAuthHttpClientError>(response.body(answer.body)?)
        })
    }
}
