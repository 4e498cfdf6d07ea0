//! Content on its way, in pieces: between threads that block (encryption, a database's copy) and a place, at the pace of
//! the slower one. A stream that breaks off is told from one that ends.

use std::io::{self, Read, Write};

use bytes::{Buf, Bytes, BytesMut};
use tokio::sync::mpsc;

use crate::{Error, Result, error::through};

/// Pieces that may be on their way at once.
const AHEAD: usize = 8;
/// Bytes of a piece at most, where they are cut here.
const PIECE: usize = 256 * 1024;

#[derive(Debug)]
enum Piece {
    Data(Bytes),
    Failed(Error),
    End,
}

/// The receiving end.
#[derive(Debug)]
pub struct Pieces {
    receiver: mpsc::Receiver<Piece>,
    ended: bool,
}

/// The sending end. Dropped before its end is said, the stream counts as broken off.
#[derive(Debug)]
pub struct PieceWriter {
    sender: mpsc::Sender<Piece>,
    pending: BytesMut,
}

/// Two ends.
pub fn channel() -> (PieceWriter, Pieces) {
    let (sender, receiver) = mpsc::channel(AHEAD);
    (PieceWriter { sender, pending: BytesMut::new() }, Pieces { receiver, ended: false })
}

fn broken_off() -> Error {
    Error::Internal("the content broke off before its end".to_owned())
}

impl Pieces {
    /// The next piece; none at the end. An error says why it broke off.
    pub async fn next(&mut self) -> Result<Option<Bytes>> {
        if self.ended {
            return Ok(None);
        }
        let piece = self.receiver.recv().await;
        self.take(piece)
    }

    fn take(&mut self, piece: Option<Piece>) -> Result<Option<Bytes>> {
        match piece {
            Some(Piece::Data(bytes)) => Ok(Some(bytes)),
            Some(Piece::End) => {
                self.ended = true;
                Ok(None)
            }
            Some(Piece::Failed(e)) => Err(e),
            None => Err(broken_off()),
        }
    }

    /// For a thread that blocks.
    pub fn into_reader(self) -> PieceReader {
        PieceReader { pieces: self, current: Bytes::new() }
    }
}

/// Reads pieces on a thread that may block.
#[derive(Debug)]
pub struct PieceReader {
    pieces: Pieces,
    current: Bytes,
}

impl Read for PieceReader {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.current.is_empty() && !self.pieces.ended {
            let piece = self.pieces.receiver.blocking_recv();
            self.current = self.pieces.take(piece).map_err(through)?.unwrap_or_default();
        }
        let got = into.len().min(self.current.len());
        self.current.copy_to_slice(&mut into[..got]);
        Ok(got)
    }
}

impl PieceWriter {
    /// Sends one piece; false where nobody reads any more.
    pub async fn send(&self, piece: Bytes) -> bool {
        self.sender.send(Piece::Data(piece)).await.is_ok()
    }

    /// Says that this was all.
    pub async fn end(self) {
        // Whoever stopped reading has his own error.
        drop(self.sender.send(Piece::End).await);
    }

    /// Says why it breaks off.
    pub async fn fail(self, error: Error) {
        drop(self.sender.send(Piece::Failed(error)).await);
    }

    /// Sends all of it.
    pub async fn send_all(self, mut content: Bytes) {
        while !content.is_empty() {
            let piece = content.split_to(content.len().min(PIECE));
            if !self.send(piece).await {
                return;
            }
        }
        self.end().await;
    }

    /// Says on a thread that blocks that this was all.
    pub fn finish(mut self) -> io::Result<()> {
        self.push()?;
        self.sender.blocking_send(Piece::End).map_err(|_| gone())
    }

    fn push(&mut self) -> io::Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        self.sender.blocking_send(Piece::Data(self.pending.split().freeze())).map_err(|_| gone())
    }
}

fn gone() -> io::Error {
    io::Error::new(io::ErrorKind::BrokenPipe, "the place takes no more")
}

impl Write for PieceWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(PIECE - self.pending.len());
        self.pending.extend_from_slice(&bytes[..taken]);
        if self.pending.len() == PIECE {
            self.push()?;
        }
        Ok(taken)
    }

    /// What is small waits for more: a flush in the middle means nothing to a place.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
