//! What is sealed with the master key: the one list of every place. Nothing else that stays can be sealed, since the vault
//! takes a [`Purpose`], and each is of a [`Kind`] that is listed here with how its values are read and written anew when
//! the master key changes.

use serde_json::Value as Json;
use uuid::Uuid;

use crate::{
    Actor, Result, Run, Transaction,
    statement::{Statement, statements},
    value::{Scalar, Value, page, row},
};

/// A column that holds sealed values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// `mcp_servers.environment`
    ServerEnvironment,
    /// `watchers.config`, in it `credentials`
    WatcherCredentials,
    /// `notification_channels.secret`
    ChannelSecret,
    /// `second_factors.secret`
    SecondFactor,
    /// `idempotency_keys.answer`
    RequestAnswer,
    /// `kept_files.sealed_key`
    FileKey,
    /// `push_keys.secret`
    PushKey,
    /// `push_subscriptions.secret`
    Browser,
    /// `server_grants.secret`
    ServerGrant,
}

/// What ties a sealed value to its place: moved elsewhere, it does not open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Purpose(String);

impl Purpose {
    /// The environment of a server of this name.
    pub fn server_environment(name: &str) -> Self {
        Kind::ServerEnvironment.purpose(name)
    }
    /// The credentials of a watcher.
    pub fn watcher_credentials(id: Uuid) -> Self {
        Kind::WatcherCredentials.purpose(&id.to_string())
    }
    /// The credentials of a way to tell people.
    pub fn channel_secret(channel: &str) -> Self {
        Kind::ChannelSecret.purpose(channel)
    }
    /// The second factor of a user.
    pub fn second_factor(user_id: Uuid) -> Self {
        Kind::SecondFactor.purpose(&user_id.to_string())
    }
    /// The answer to a request of a user's under a key.
    pub fn request_answer(user_id: Uuid, key: &str) -> Self {
        Kind::RequestAnswer.purpose(&format!("{user_id}:{key}"))
    }
    /// The key of a file in the vault.
    pub fn file_key(storage_path: &str) -> Self {
        Kind::FileKey.purpose(storage_path)
    }
    /// The key by which pushes say who sends them.
    pub fn push_key() -> Self {
        Kind::PushKey.purpose("")
    }
    /// Address and keys of a browser of a user.
    pub fn browser(user_id: Uuid) -> Self {
        Kind::Browser.purpose(&user_id.to_string())
    }
    /// What a server elsewhere lets Steward do.
    pub fn server_grant(server_id: Uuid) -> Self {
        Kind::ServerGrant.purpose(&server_id.to_string())
    }
    /// What a browser holds between the halves of a ceremony with a passkey at a desk of this name. It stands in no row:
    /// after minutes it is worth nothing.
    pub fn passkey_ceremony(site: &str) -> Self {
        Self(format!("passkey ceremony of {site}"))
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

row! {
    /// A sealed value and where it stands.
    pub struct Sealed {
        /// What names its row, as text.
        pub id: String,
        /// What its purpose is bound to.
        pub binding: String,
        /// The sealed value.
        #[schema(value_type = Object)]
        pub value: Json,
    }
}

statements! {
    SERVERS: Sealed = "sealed/servers";
    WATCHERS: Sealed = "sealed/watchers";
    CHANNELS: Sealed = "sealed/channels";
    FACTORS: Sealed = "sealed/factors";
    ANSWERS: Sealed = "sealed/answers";
    FILES: Sealed = "sealed/files";
    PUSH_KEYS: Sealed = "sealed/push_keys";
    BROWSERS: Sealed = "sealed/browsers";
    GRANTS: Sealed = "sealed/grants";
    LOCK_SERVER: Scalar<String> = "sealed/lock_server";
    LOCK_WATCHER: Scalar<String> = "sealed/lock_watcher";
    LOCK_CHANNEL: Scalar<String> = "sealed/lock_channel";
    LOCK_FACTOR: Scalar<String> = "sealed/lock_factor";
    LOCK_ANSWER: Scalar<String> = "sealed/lock_answer";
    LOCK_FILE: Scalar<String> = "sealed/lock_file";
    LOCK_PUSH_KEY: Scalar<String> = "sealed/lock_push_key";
    LOCK_BROWSER: Scalar<String> = "sealed/lock_browser";
    LOCK_GRANT: Scalar<String> = "sealed/lock_grant";
    PUT_SERVER: Sealed = "sealed/put_server";
    PUT_WATCHER: Sealed = "sealed/put_watcher" split;
    PUT_CHANNEL: Sealed = "sealed/put_channel";
    PUT_FACTOR: Sealed = "sealed/put_factor";
    PUT_ANSWER: Sealed = "sealed/put_answer";
    PUT_FILE: Sealed = "sealed/put_file";
    PUT_PUSH_KEY: Sealed = "sealed/put_push_key";
    PUT_BROWSER: Sealed = "sealed/put_browser";
    PUT_GRANT: Sealed = "sealed/put_grant";
}

/// How the values of a kind are read, held and written.
struct Access {
    page: &'static Statement,
    lock: &'static Statement,
    put: &'static Statement,
}

impl Kind {
    /// All there are.
    pub const ALL: [Self; 9] = [
        Self::ServerEnvironment,
        Self::WatcherCredentials,
        Self::ChannelSecret,
        Self::SecondFactor,
        Self::RequestAnswer,
        Self::FileKey,
        Self::PushKey,
        Self::Browser,
        Self::ServerGrant,
    ];

    /// For people.
    pub fn name(self) -> &'static str {
        match self {
            Self::ServerEnvironment => "environments of servers",
            Self::WatcherCredentials => "credentials of watchers",
            Self::ChannelSecret => "credentials of notification channels",
            Self::SecondFactor => "second factors",
            Self::RequestAnswer => "answers to requests under a key",
            Self::FileKey => "keys of files",
            Self::PushKey => "keys of pushes to browsers",
            Self::Browser => "addresses of browsers",
            Self::ServerGrant => "grants of servers elsewhere",
        }
    }

    /// Whether only a person may change the row it stands in; the others are Steward's own.
    pub fn is_peoples(self) -> bool {
        matches!(self, Self::ServerEnvironment | Self::WatcherCredentials | Self::ChannelSecret)
    }

    /// What ties the value of a row to it; `binding` is as [`Sealed`] has it.
    pub fn purpose(self, binding: &str) -> Purpose {
        let place = match self {
            Self::ServerEnvironment => "mcp_servers.environment:",
            Self::WatcherCredentials => "watcher:",
            Self::ChannelSecret => "channel:",
            Self::SecondFactor => "second factor of ",
            Self::RequestAnswer => "idempotency_keys.answer:",
            Self::FileKey => "kept_files.sealed_key:",
            Self::PushKey => "push_keys.secret:",
            Self::Browser => "push_subscriptions.secret:",
            Self::ServerGrant => "server_grants.secret:",
        };
        Purpose(format!("{place}{binding}"))
    }

    fn access(self) -> Access {
        let (page, lock, put) = match self {
            Self::ServerEnvironment => (&SERVERS, &LOCK_SERVER, &PUT_SERVER),
            Self::WatcherCredentials => (&WATCHERS, &LOCK_WATCHER, &PUT_WATCHER),
            Self::ChannelSecret => (&CHANNELS, &LOCK_CHANNEL, &PUT_CHANNEL),
            Self::SecondFactor => (&FACTORS, &LOCK_FACTOR, &PUT_FACTOR),
            Self::RequestAnswer => (&ANSWERS, &LOCK_ANSWER, &PUT_ANSWER),
            Self::FileKey => (&FILES, &LOCK_FILE, &PUT_FILE),
            Self::PushKey => (&PUSH_KEYS, &LOCK_PUSH_KEY, &PUT_PUSH_KEY),
            Self::Browser => (&BROWSERS, &LOCK_BROWSER, &PUT_BROWSER),
            Self::ServerGrant => (&GRANTS, &LOCK_GRANT, &PUT_GRANT),
        };
        Access { page, lock, put }
    }
}

/// Sealed values of a kind after a row, in its order, at most `limit` (0–1000). For Steward itself only.
pub async fn after(actor: &Actor, on: impl Run, kind: Kind, id: &str, limit: i64) -> Result<Vec<Sealed>> {
    on.list(actor, kind.access().page, vec![id.into(), Value::Null, page(limit)]).await
}

/// One value, its row held until the transaction's end by whoever will change it; `reader` is Steward itself.
pub async fn held(actor: &Actor, on: &Transaction, kind: Kind, id: &str, reader: &Actor) -> Result<Option<Sealed>> {
    if on.rows(actor, kind.access().lock, vec![id.into()]).await?.is_empty() {
        return Ok(None);
    }
    on.optional(reader, kind.access().page, vec!["".into(), id.into(), page(1)]).await
}

/// Puts a value in the place of one that is held. False: the actor may not.
pub async fn put(actor: &Actor, on: &Transaction, kind: Kind, id: &str, value: Json) -> Result<bool> {
    Ok(on.execute(actor, kind.access().put, vec![id.into(), value.into()]).await? > 0)
}
