//! S3-compatible storage as a place: multipart uploads, retries, and nothing there before it is whole.

use std::{sync::Arc, time::Duration};

use futures_util::StreamExt;
use object_store::{
    ClientOptions, ObjectStore, ObjectStoreExt, PutPayload, RetryConfig, WriteMultipart,
    aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey, AwsAuthorizer, Checksum},
    client::{HttpConnector, HttpRequest, HttpRequestBody, ReqwestConnector},
    path::Path,
};
use secrecy::ExposeSecret;

use super::{
    Entry, S3Access,
    pieces::{self, Pieces},
};
use crate::{Error, Result};

/// Bytes of one part of an upload. S3 allows 10,000 parts, so a thing may have 160 GB.
const PART: usize = 16 * 1024 * 1024;
/// Parts of one thing on their way at once.
const AT_ONCE: usize = 3;
/// How long one request may take.
const REQUEST: Duration = Duration::from_secs(120);
/// How often and for how long a request is tried again. A target that is away for longer is the caller's business.
const TRIES: usize = 6;
const TRYING: Duration = Duration::from_secs(90);
/// Bytes of the answer to how a bucket locks, at most.
const ANSWER_BYTES: usize = 64 * 1024;

/// What a bucket does against removal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lock {
    /// It keeps each thing for a time, whoever removes it.
    Kept {
        /// `COMPLIANCE`, which nobody lifts, or `GOVERNANCE`.
        mode: String,
        /// For how long, as the bucket has it.
        time: String,
    },
    /// It could lock, but nothing is locked by default.
    Open,
    /// It has no object lock.
    Missing,
    /// It does not say.
    Unknown(String),
}

impl std::fmt::Display for Lock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Kept { mode, time } => write!(f, "each thing is locked for {time} ({mode})"),
            Self::Open => f.write_str("the bucket has object lock, but locks nothing by default"),
            Self::Missing => f.write_str("the bucket has no object lock: whoever has its keys can remove every backup"),
            Self::Unknown(why) => write!(f, "whether the bucket locks what it keeps can't be seen ({why})"),
        }
    }
}

/// A bucket, and a prefix within it.
#[derive(Debug, Clone)]
pub struct S3 {
    store: Arc<AmazonS3>,
    /// The bucket's own address.
    bucket_url: String,
    region: String,
    options: ClientOptions,
    prefix: String,
    shown: String,
}

impl S3 {
    /// Opens `BUCKET/PREFIX`. Nothing is asked yet. Keys that are not given come from the environment
    /// (`AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`), as every S3 tool has it.
    pub fn open(bucket_and_prefix: &str, access: &S3Access) -> Result<Self> {
        let (bucket, prefix) = bucket_and_prefix.split_once('/').unwrap_or((bucket_and_prefix, ""));
        let prefix = prefix.trim_matches('/');
        if bucket.is_empty() || prefix.contains("//") {
            return Err(Error::Config("the place of the backups must be s3://BUCKET or s3://BUCKET/PREFIX".to_owned()));
        }
        // The TLS of the whole program; somebody else may have said so first.
        drop(rustls::crypto::ring::default_provider().install_default());
        let is_plain = access.endpoint.as_deref().is_some_and(|e| e.starts_with("http://"));
        let region = access.region.as_deref().unwrap_or("us-east-1");
        let options = ClientOptions::new().with_timeout(REQUEST).with_allow_http(is_plain);
        let mut builder = AmazonS3Builder::from_env()
            .with_bucket_name(bucket)
            .with_region(region)
            .with_allow_http(is_plain)
            // A bucket with locks takes nothing without a checksum.
            .with_checksum_algorithm(Checksum::SHA256)
            .with_retry(RetryConfig { max_retries: TRIES, retry_timeout: TRYING, ..RetryConfig::default() })
            .with_client_options(options.clone());
        if let Some(endpoint) = &access.endpoint {
            builder = builder.with_endpoint(endpoint).with_virtual_hosted_style_request(false);
        }
        if let Some(id) = &access.access_key_id {
            builder = builder.with_access_key_id(id);
        }
        if let Some(secret) = &access.secret_access_key {
            builder = builder.with_secret_access_key(secret.expose_secret());
        }
        let endpoint = builder
            .get_config_value(&AmazonS3ConfigKey::Endpoint)
            .unwrap_or_else(|| format!("https://s3.{region}.amazonaws.com"));
        let bucket_url = format!("{}/{bucket}", endpoint.trim_end_matches('/'));
        let store = builder.build().map_err(|e| Error::Config(format!("s3://{bucket} can't be reached: {e}")))?;
        let shown = if prefix.is_empty() { format!("s3://{bucket}") } else { format!("s3://{bucket}/{prefix}") };
        let region = region.to_owned();
        Ok(Self { store: Arc::new(store), bucket_url, region, options, prefix: prefix.to_owned(), shown })
    }

    pub(super) fn describe(&self) -> String {
        self.shown.clone()
    }

    fn path(&self, name: &str) -> Path {
        if self.prefix.is_empty() { Path::from(name) } else { Path::from(format!("{}/{name}", self.prefix)) }
    }

    /// Where nothing is looked for, what is missing is the bucket.
    fn refused(&self, e: object_store::Error, name: &str) -> Error {
        match self.failed(e, name) {
            Error::Missing { .. } => self.no_bucket(),
            other => other,
        }
    }

    fn no_bucket(&self) -> Error {
        let reason =
            "there is no such bucket; make it, or check its name, endpoint and region (backup_target, backup_s3_…)";
        Error::Place { place: self.describe(), reason: reason.to_owned() }
    }

    fn failed(&self, e: object_store::Error, name: &str) -> Error {
        match e {
            object_store::Error::NotFound { .. } => Error::Missing { what: name.to_owned() },
            other => {
                let said = other.to_string();
                // A list of what is in no bucket is answered so.
                if said.contains("<Code>NoSuchBucket</Code>") {
                    return self.no_bucket();
                }
                // What the server says in XML, in its own words for people if it has such.
                let (head, body) = said.split_once("<?xml").unwrap_or((&said, ""));
                let message = body.split_once("<Message>").and_then(|(_, rest)| rest.split_once("</Message>"));
                let said =
                    format!("{}{}", head.trim(), message.map_or_else(String::new, |(words, _)| format!(" {words}")));
                let said = said.replace('\n', " ");
                let reason = format!(
                    "{}; check endpoint, region, bucket and keys (backup_s3_…), and that the keys may list, read, write and delete there",
                    said.trim()
                );
                Error::Place { place: self.describe(), reason }
            }
        }
    }

    /// What the bucket does against removal. Steward sends no lock of its own: what is locked by default is locked from the
    /// moment it is there, also what is uploaded in parts.
    pub(super) async fn lock(&self) -> Lock {
        match self.asked_for_lock().await {
            Ok((200, said)) => lock_of(&said),
            Ok((404, said)) if said.contains("ObjectLockConfigurationNotFound") => Lock::Missing,
            Ok((status, said)) => {
                let code = between(&said, "Code").unwrap_or_else(|| "no reason given".to_owned());
                Lock::Unknown(format!("{status}, {code}"))
            }
            Err(why) => Lock::Unknown(why),
        }
    }

    /// Asks for what the library has no call for, with its keys and its client.
    async fn asked_for_lock(&self) -> Result<(u16, String), String> {
        let said = |e: &dyn std::fmt::Display| e.to_string();
        let credential = self.store.credentials().get_credential().await.map_err(|e| said(&e))?;
        let mut request = HttpRequest::new(HttpRequestBody::empty());
        *request.uri_mut() = format!("{}?object-lock=", self.bucket_url)
            .parse()
            .map_err(|_| format!("{} is no address", self.bucket_url))?;
        AwsAuthorizer::new(&credential, "s3", &self.region).try_authorize(&mut request, None).map_err(|e| said(&e))?;
        let client = ReqwestConnector::default().connect(&self.options).map_err(|e| said(&e))?;
        let answer = client.execute(request).await.map_err(|e| said(&e))?;
        let status = answer.status().as_u16();
        let mut body = Vec::new();
        let mut pieces = answer.into_body().bytes_stream();
        while let Some(piece) = pieces.next().await {
            let piece = piece.map_err(|e| said(&e))?;
            if body.len() + piece.len() > ANSWER_BYTES {
                return Err(format!("the answer is longer than {ANSWER_BYTES} bytes"));
            }
            body.extend_from_slice(&piece);
        }
        Ok((status, String::from_utf8_lossy(&body).into_owned()))
    }

    pub(super) async fn put(&self, name: &str, mut pieces: Pieces) -> Result<()> {
        let path = self.path(name);
        let fail = |e| self.refused(e, name);
        // What fits into one part goes in one request.
        let mut head = Vec::new();
        let mut ended = false;
        while head.len() < PART {
            let Some(piece) = pieces.next().await? else {
                ended = true;
                break;
            };
            head.extend_from_slice(&piece);
        }
        if ended {
            self.store.put(&path, PutPayload::from(head)).await.map_err(fail)?;
            return Ok(());
        }
        let mut upload =
            WriteMultipart::new_with_chunk_size(self.store.put_multipart(&path).await.map_err(fail)?, PART);
        upload.put(head.into());
        loop {
            let next = match pieces.next().await {
                Ok(next) => next,
                Err(e) => {
                    // The parts that are there cost money until they are taken back.
                    if let Err(left) = upload.abort().await {
                        tracing::warn!(place = %self.shown, name, error = %left, "a broken-off upload could not be taken back");
                    }
                    return Err(e);
                }
            };
            let Some(piece) = next else { break };
            if let Err(e) = upload.wait_for_capacity(AT_ONCE).await {
                if let Err(left) = upload.abort().await {
                    tracing::warn!(place = %self.shown, name, error = %left, "a broken-off upload could not be taken back");
                }
                return Err(fail(e));
            }
            upload.put(piece);
        }
        upload.finish().await.map_err(fail)?;
        Ok(())
    }

    pub(super) async fn get(&self, name: &str) -> Result<Pieces> {
        let got = self.store.get(&self.path(name)).await.map_err(|e| self.failed(e, name))?;
        let mut stream = got.into_stream();
        let (writer, pieces) = pieces::channel();
        let (this, name) = (self.clone(), name.to_owned());
        tokio::spawn(async move {
            while let Some(next) = stream.next().await {
                match next {
                    Ok(bytes) => {
                        if !writer.send(bytes).await {
                            return;
                        }
                    }
                    Err(e) => return writer.fail(this.failed(e, &name)).await,
                }
            }
            writer.end().await;
        });
        Ok(pieces)
    }

    pub(super) async fn list(&self, prefix: &str) -> Result<Vec<Entry>> {
        let path = self.path(prefix);
        let mut stream = self.store.list(Some(&path));
        let mut found = Vec::new();
        while let Some(next) = stream.next().await {
            let meta = next.map_err(|e| self.refused(e, prefix))?;
            let full = meta.location.as_ref();
            let name = full.strip_prefix(self.prefix.as_str()).unwrap_or(full).trim_start_matches('/');
            let put_at = jiff::Timestamp::from_millisecond(meta.last_modified.timestamp_millis()).ok();
            found.push(Entry { name: name.to_owned(), size_bytes: meta.size, put_at });
        }
        Ok(found)
    }

    pub(super) async fn remove(&self, name: &str) -> Result<()> {
        match self.store.delete(&self.path(name)).await {
            Err(object_store::Error::NotFound { .. }) | Ok(()) => Ok(()),
            Err(e) => Err(self.failed(e, name)),
        }
    }
}

/// What stands in the first element of this name.
fn between(said: &str, name: &str) -> Option<String> {
    let (_, rest) = said.split_once(&format!("<{name}>"))?;
    rest.split_once("</").map(|(text, _)| text.trim().to_owned())
}

fn lock_of(said: &str) -> Lock {
    let time = between(said, "Days")
        .map(|days| format!("{days} days"))
        .or_else(|| between(said, "Years").map(|years| format!("{years} years")));
    match (between(said, "ObjectLockEnabled").as_deref(), between(said, "Mode"), time) {
        (Some("Enabled"), Some(mode), Some(time)) => Lock::Kept { mode, time },
        (Some("Enabled"), ..) => Lock::Open,
        _ => Lock::Missing,
    }
}

#[cfg(test)]
mod tests {
    use super::{Lock, lock_of};

    #[test]
    fn a_bucket_s_lock_is_read() {
        let of = |rule: &str| {
            lock_of(&format!(
                "<?xml version=\"1.0\"?><ObjectLockConfiguration xmlns=\"x\"><ObjectLockEnabled>Enabled</ObjectLockEnabled>{rule}</ObjectLockConfiguration>"
            ))
        };
        assert_eq!(of(""), Lock::Open);
        let kept = of("<Rule><DefaultRetention><Mode>COMPLIANCE</Mode><Days>30</Days></DefaultRetention></Rule>");
        assert_eq!(kept.to_string(), "each thing is locked for 30 days (COMPLIANCE)");
        assert_eq!(lock_of("<ObjectLockConfiguration/>"), Lock::Missing);
    }
}
