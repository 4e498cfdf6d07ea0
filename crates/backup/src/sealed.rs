//! A sealed part: one stream, compressed and encrypted in blocks, bound to its bundle, its name and its place.
//!
//! Magic, length of the head (4 bytes, big-endian), head (JSON: bundle, part, index, the wrapped key, a nonce), blocks of
//! 128 KiB sealed in order with the last one marked (the STREAM construction, as the vault's files have it). Each part's
//! key comes from the bundle's key and the head's own bytes (HMAC-SHA-256), so a head that says something else opens
//! nothing; whoever reads says which bundle, name and index he wants, and gets no other.

use std::io::{self, Read, Write};

use chacha20poly1305::{
    KeyInit, XChaCha20Poly1305,
    aead::stream::{DecryptorBE32, EncryptorBE32},
};
use rand::RngCore;
use ring::hmac;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{
    Error, Opener, Result, Sealer,
    error::through,
    keys::{Key, Wrap},
};

const MAGIC: &[u8; 8] = b"STWDBKP1";
const BLOCK: usize = 128 * 1024;
const TAG: usize = 16;
const NONCE: usize = 19;
/// Bytes of a head at most: twenty recipients take about 5 KiB.
const HEAD_BYTES: usize = 64 * 1024;
/// How hard zstd tries.
const LEVEL: i32 = 3;

/// What a part is, and where it belongs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    /// The bundle's id.
    pub bundle: String,
    /// The part's name.
    pub part: String,
    /// Its place among the bundle's parts, from 0.
    pub index: u64,
}

impl std::fmt::Display for Label {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} of {}", self.part, self.bundle)
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct Head {
    bundle: String,
    part: String,
    index: u64,
    to: Vec<Wrap>,
    nonce: String,
}

/// Size and hash of a stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Digested {
    /// Bytes.
    pub size_bytes: u64,
    /// SHA-256, hex.
    pub sha256: String,
}

/// Counts and hashes what passes.
#[derive(Debug)]
pub(crate) struct Counting<T> {
    inner: T,
    hash: Sha256,
    size_bytes: u64,
}

impl<T> Counting<T> {
    pub(crate) fn new(inner: T) -> Self {
        Self { inner, hash: Sha256::new(), size_bytes: 0 }
    }

    pub(crate) fn end(self) -> (T, Digested) {
        (self.inner, Digested { size_bytes: self.size_bytes, sha256: hex::encode(self.hash.finalize()) })
    }

    fn passed(&mut self, bytes: &[u8]) {
        self.hash.update(bytes);
        self.size_bytes += bytes.len() as u64;
    }
}

impl<W: Write> Write for Counting<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = self.inner.write(bytes)?;
        self.passed(&bytes[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl<R: Read> Read for Counting<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let got = self.inner.read(into)?;
        self.passed(&into[..got]);
        Ok(got)
    }
}

fn part_cipher(key: &Key, head: &[u8]) -> Result<XChaCha20Poly1305> {
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &**key), head);
    XChaCha20Poly1305::new_from_slice(tag.as_ref()).map_err(|e| Error::Internal(e.to_string()))
}

/// Writes one sealed part.
pub struct SealingWriter<W: Write> {
    plain: Counting<zstd::stream::write::Encoder<'static, Blocks<W>>>,
}

impl<W: Write> std::fmt::Debug for SealingWriter<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SealingWriter").finish_non_exhaustive()
    }
}

/// What a part turned out to be: its content and its sealed form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    /// The content.
    pub plain: Digested,
    /// The sealed stream.
    pub sealed: Digested,
}

impl<W: Write> SealingWriter<W> {
    /// Begins a part.
    pub fn new(sealer: &Sealer, part: &str, index: u64, out: W) -> Result<Self> {
        let mut nonce = [0_u8; NONCE];
        rand::rng().fill_bytes(&mut nonce);
        let head = serde_json::to_vec(&Head {
            bundle: sealer.bundle().to_owned(),
            part: part.to_owned(),
            index,
            to: sealer.wraps().to_vec(),
            nonce: hex::encode(nonce),
        })
        .map_err(|e| Error::Internal(e.to_string()))?;
        let length = u32::try_from(head.len()).map_err(|e| Error::Internal(e.to_string()))?;
        let mut out = Counting::new(out);
        out.write_all(MAGIC)
            .and_then(|()| out.write_all(&length.to_be_bytes()))
            .and_then(|()| out.write_all(&head))
            .map_err(|e| crate::error::back(e, "a part can't be written"))?;
        let stream = EncryptorBE32::from_aead(part_cipher(sealer.key(), &head)?, (&nonce).into());
        let blocks = Blocks { out, stream: Some(stream), block: Vec::with_capacity(BLOCK) };
        let encoder = zstd::stream::write::Encoder::new(blocks, LEVEL).map_err(|e| Error::Internal(e.to_string()))?;
        Ok(Self { plain: Counting::new(encoder) })
    }

    /// Ends the part; without this it is no part.
    pub fn finish(self) -> Result<(W, Sealed)> {
        let fail = |e| crate::error::back(e, "a part can't be written");
        let (encoder, plain) = self.plain.end();
        let blocks = encoder.finish().map_err(fail)?;
        let (mut out, sealed) = blocks.finish().map_err(fail)?.end();
        out.flush().map_err(fail)?;
        Ok((out, Sealed { plain, sealed }))
    }
}

impl<W: Write> Write for SealingWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.plain.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        // Blocks go out when they are full: a short one in the middle would not be read back.
        Ok(())
    }
}

/// Cuts what comes into blocks and seals them.
struct Blocks<W: Write> {
    out: Counting<W>,
    stream: Option<EncryptorBE32<XChaCha20Poly1305>>,
    block: Vec<u8>,
}

impl<W: Write> Blocks<W> {
    fn finish(mut self) -> io::Result<Counting<W>> {
        let stream = self.stream.take().ok_or_else(|| io::Error::other("the stream has ended"))?;
        let sealed =
            stream.encrypt_last(self.block.as_slice()).map_err(|_| io::Error::other("a block can't be sealed"))?;
        self.out.write_all(&sealed)?;
        Ok(self.out)
    }
}

impl<W: Write> Write for Blocks<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // A full block goes out only when more follows, as the last one is marked.
        if self.block.len() == BLOCK {
            let stream = self.stream.as_mut().ok_or_else(|| io::Error::other("the stream has ended"))?;
            let sealed =
                stream.encrypt_next(self.block.as_slice()).map_err(|_| io::Error::other("a block can't be sealed"))?;
            self.out.write_all(&sealed)?;
            self.block.clear();
        }
        let taken = bytes.len().min(BLOCK - self.block.len());
        self.block.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Reads one sealed part, which must be the one that is wanted.
pub struct OpeningReader<R: Read> {
    plain: Counting<zstd::stream::read::Decoder<'static, io::BufReader<Opened<R>>>>,
}

impl<R: Read> std::fmt::Debug for OpeningReader<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpeningReader").finish_non_exhaustive()
    }
}

impl<R: Read> OpeningReader<R> {
    /// Reads the head and opens the key.
    pub fn new(opener: &Opener, wanted: &Label, source: R) -> Result<Self> {
        let damaged = |reason: &str| Error::Damaged { part: wanted.to_string(), reason: reason.to_owned() };
        let mut source = Counting::new(source);
        let mut start = [0_u8; 12];
        read_or(&mut source, &mut start, || damaged("it is shorter than a part's beginning"))?;
        let (magic, length) = start.split_at(8);
        let length = u32::from_be_bytes(length.try_into().map_err(|_| damaged("it has no length"))?) as usize;
        if magic != MAGIC || length > HEAD_BYTES {
            return Err(damaged("it does not begin as a part does"));
        }
        let mut bytes = vec![0_u8; length];
        read_or(&mut source, &mut bytes, || damaged("it is cut off in its head"))?;
        let head: Head = serde_json::from_slice(&bytes).map_err(|_| damaged("its head can't be read"))?;
        if head.bundle != wanted.bundle || head.part != wanted.part || head.index != wanted.index {
            return Err(damaged(&format!("it is part {} ({}) of {}", head.index, head.part, head.bundle)));
        }
        let key =
            opener.open(&head.bundle, &head.to).map_err(|reason| Error::Locked { part: wanted.to_string(), reason })?;
        let nonce: [u8; NONCE] = hex::decode(&head.nonce)
            .ok()
            .and_then(|n| n.try_into().ok())
            .ok_or_else(|| damaged("its head has no nonce"))?;
        let stream = DecryptorBE32::from_aead(part_cipher(&key, &bytes)?, (&nonce).into());
        let blocks =
            Opened { source, stream: Some(stream), label: wanted.clone(), next: Vec::new(), block: Vec::new(), at: 0 };
        let decoder = zstd::stream::read::Decoder::new(blocks).map_err(|e| Error::Internal(e.to_string()))?;
        Ok(Self { plain: Counting::new(decoder) })
    }

    /// Reads to the end, which proves that the part is whole, and answers what it was.
    pub fn finish(mut self) -> Result<Sealed> {
        let fail = |e| crate::error::back(e, "a part can't be read");
        io::copy(&mut self, &mut io::sink()).map_err(fail)?;
        let (decoder, plain) = self.plain.end();
        let mut opened = decoder.finish();
        // Behind the end of the compressed stream there is nothing, which the last block's mark proves.
        if io::copy(&mut opened, &mut io::sink()).map_err(fail)? > 0 {
            let label = opened.get_ref().label.to_string();
            return Err(Error::Damaged { part: label, reason: "something follows its end".to_owned() });
        }
        let (_, sealed) = opened.into_inner().source.end();
        Ok(Sealed { plain, sealed })
    }
}

impl<R: Read> Read for OpeningReader<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self.plain.read(into) {
            Ok(got) => Ok(got),
            Err(e) if e.get_ref().is_some_and(<dyn std::error::Error + Send + Sync>::is::<Error>) => Err(e),
            Err(e) => {
                let part = self.plain.inner.get_ref().get_ref().label.to_string();
                Err(through(Error::Damaged { part, reason: format!("its content can't be unpacked ({e})") }))
            }
        }
    }
}

fn read_or(source: &mut impl Read, into: &mut [u8], short: impl FnOnce() -> Error) -> Result<()> {
    match source.read_exact(into) {
        Ok(()) => Ok(()),
        Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => Err(short()),
        Err(e) => Err(crate::error::back(e, "a part can't be read")),
    }
}

/// Opens block after block.
struct Opened<R: Read> {
    source: Counting<R>,
    stream: Option<DecryptorBE32<XChaCha20Poly1305>>,
    label: Label,
    /// The sealed block that comes next: whether it is the last is known when nothing follows it.
    next: Vec<u8>,
    block: Vec<u8>,
    at: usize,
}

impl<R: Read> Opened<R> {
    fn fetch(&mut self) -> io::Result<Vec<u8>> {
        let mut sealed = Vec::with_capacity(BLOCK + TAG);
        (&mut self.source).take((BLOCK + TAG) as u64).read_to_end(&mut sealed)?;
        Ok(sealed)
    }

    fn open_next(&mut self) -> io::Result<bool> {
        let Some(mut stream) = self.stream.take() else { return Ok(false) };
        let current = if self.next.is_empty() { self.fetch()? } else { std::mem::take(&mut self.next) };
        self.next = self.fetch()?;
        let opened = if self.next.is_empty() {
            stream.decrypt_last(current.as_slice())
        } else {
            let opened = stream.decrypt_next(current.as_slice());
            self.stream = Some(stream);
            opened
        };
        self.block = opened.map_err(|_| {
            let reason = "a block does not open as it was sealed".to_owned();
            through(Error::Damaged { part: self.label.to_string(), reason })
        })?;
        self.at = 0;
        Ok(true)
    }
}

impl<R: Read> Read for Opened<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.at == self.block.len() {
            if !self.open_next()? {
                return Ok(0);
            }
        }
        let got = into.len().min(self.block.len() - self.at);
        into[..got].copy_from_slice(&self.block[self.at..self.at + got]);
        self.at += got;
        Ok(got)
    }
}
