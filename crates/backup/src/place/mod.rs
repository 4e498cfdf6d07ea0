//! Where bundles are kept: a directory, S3-compatible storage, or a folder on an SFTP server. A name is a relative path of plain words; a thing is
//! there whole or not at all.

mod directory;
pub mod pieces;
mod s3;
mod sftp;

use bytes::Bytes;
use secrecy::SecretString;

use self::pieces::Pieces;
pub use self::{
    directory::Directory,
    s3::{Lock, S3},
    sftp::Sftp,
};
use crate::{Error, Result};

/// Something that is kept at a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// Bytes.
    pub size_bytes: u64,
    /// When it was put there, by the place's clock; none where the place does not say.
    pub put_at: Option<jiff::Timestamp>,
}

/// How to reach a place, beside its URL.
#[derive(Debug, Clone, Default)]
pub struct Access {
    /// S3-compatible storage.
    pub s3: S3Access,
    /// A configuration of `ssh` for SFTP, in place of the user's own.
    pub ssh_config: Option<std::path::PathBuf>,
}

/// How to reach S3-compatible storage, beside the URL.
#[derive(Debug, Clone, Default)]
pub struct S3Access {
    /// `https://…` of the service; none for Amazon's own.
    pub endpoint: Option<String>,
    /// Region; `us-east-1` where the service knows none.
    pub region: Option<String>,
    /// Key id.
    pub access_key_id: Option<String>,
    /// Secret key.
    pub secret_access_key: Option<SecretString>,
}

/// One of the places.
#[derive(Debug, Clone)]
pub enum Place {
    /// A directory of this machine, or mounted on it.
    Directory(Directory),
    /// S3-compatible storage.
    S3(Box<S3>),
    /// A folder on an SFTP server.
    Sftp(Sftp),
}

impl Place {
    /// The place that a setting names: a path, `s3://BUCKET/PREFIX`, or `sftp://[USER@]HOST[:PORT]/FOLDER`.
    pub fn open(target: &str, access: &Access) -> Result<Self> {
        if let Some(rest) = target.strip_prefix("s3://") {
            return Ok(Self::S3(Box::new(S3::open(rest, &access.s3)?)));
        }
        if let Some(rest) = target.strip_prefix("sftp://") {
            return Ok(Self::Sftp(Sftp::open(rest, access.ssh_config.clone())?));
        }
        if let Some((scheme, _)) = target.split_once("://") {
            return Err(Error::Config(format!(
                "backups can't be kept at {scheme}://…; name a directory, s3://BUCKET/PREFIX, or sftp://USER@HOST/FOLDER"
            )));
        }
        Ok(Self::Directory(Directory::new(target.into())))
    }

    /// What to call it, without secrets.
    pub fn describe(&self) -> String {
        match self {
            Self::Directory(directory) => directory.describe(),
            Self::S3(s3) => s3.describe(),
            Self::Sftp(sftp) => sftp.describe(),
        }
    }

    /// Whether it lies on this machine.
    pub fn directory(&self) -> Option<&std::path::Path> {
        match self {
            Self::Directory(directory) => Some(directory.path()),
            Self::S3(_) | Self::Sftp(_) => None,
        }
    }

    /// What a bucket does against removal; none where the place is no bucket.
    pub async fn lock(&self) -> Option<Lock> {
        match self {
            Self::S3(s3) => Some(s3.lock().await),
            Self::Directory(_) | Self::Sftp(_) => None,
        }
    }

    /// Keeps what the pieces hold; it is there when this returns, durably, and not before the last piece came.
    pub async fn put(&self, name: &str, pieces: Pieces) -> Result<()> {
        check(name)?;
        match self {
            Self::Directory(directory) => directory.put(name, pieces).await,
            Self::S3(s3) => s3.put(name, pieces).await,
            Self::Sftp(sftp) => sftp.put(name, pieces).await,
        }
    }

    /// Keeps a small thing.
    pub async fn put_bytes(&self, name: &str, content: Bytes) -> Result<()> {
        let (writer, pieces) = pieces::channel();
        let sent = async move { writer.send_all(content).await };
        let (put, ()) = futures_util::future::join(self.put(name, pieces), sent).await;
        put
    }

    /// The content, piece by piece. Whoever reads may stop at any time.
    pub async fn get(&self, name: &str) -> Result<Pieces> {
        check(name)?;
        match self {
            Self::Directory(directory) => directory.get(name).await,
            Self::S3(s3) => s3.get(name).await,
            Self::Sftp(sftp) => sftp.get(name).await,
        }
    }

    /// A thing of at most `limit_bytes`, whole.
    pub async fn get_bytes(&self, name: &str, limit_bytes: usize) -> Result<Vec<u8>> {
        let mut pieces = self.get(name).await?;
        let mut content = Vec::new();
        while let Some(piece) = pieces.next().await? {
            if content.len() + piece.len() > limit_bytes {
                return Err(Error::Damaged {
                    part: name.to_owned(),
                    reason: format!("it is larger than {limit_bytes} bytes"),
                });
            }
            content.extend_from_slice(&piece);
        }
        Ok(content)
    }

    /// What is kept below `prefix` (a folder's name), sorted by name.
    pub async fn list(&self, prefix: &str) -> Result<Vec<Entry>> {
        check(prefix)?;
        let mut found = match self {
            Self::Directory(directory) => directory.list(prefix).await,
            Self::S3(s3) => s3.list(prefix).await,
            Self::Sftp(sftp) => sftp.list(prefix).await,
        }?;
        found.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(found)
    }

    /// Removes a thing; one that is gone already is no error.
    pub async fn remove(&self, name: &str) -> Result<()> {
        check(name)?;
        match self {
            Self::Directory(directory) => directory.remove(name).await,
            Self::S3(s3) => s3.remove(name).await,
            Self::Sftp(sftp) => sftp.remove(name).await,
        }
    }
}

/// Sixteen digits that nobody else has.
fn unique() -> String {
    let mut bytes = [0_u8; 8];
    rand::RngCore::fill_bytes(&mut rand::rng(), &mut bytes);
    hex::encode(bytes)
}

/// Plain words between single slashes: a name from a list can't leave the place.
fn check(name: &str) -> Result<()> {
    let plain = |word: &str| {
        !word.is_empty()
            && !word.starts_with('.')
            && word.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
    };
    if name.split('/').all(plain) {
        return Ok(());
    }
    Err(Error::Internal(format!("{name:?} is no name for something that is kept")))
}
