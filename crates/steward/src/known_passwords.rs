//! A list of passwords that became known elsewhere, in a file: one SHA-1 in hex a line, in order, with or without `:count`
//! behind it, which is how Have I Been Pwned gives its list out. It may be large, so it is searched where it lies.

use std::{
    fs::File,
    io::{BufRead, BufReader, Seek, SeekFrom},
    path::PathBuf,
};

use domain::passwords::KnownPasswords;

/// Hex digits of a SHA-1.
const DIGITS: usize = 40;
/// A line holds at most so many bytes; a longer one is not of such a list.
const LINE_BYTES: u64 = 100;

/// The file.
#[derive(Debug)]
pub struct KnownInFile(pub PathBuf);

impl KnownPasswords for KnownInFile {
    fn holds(&self, sha1: &[u8]) -> Result<bool, String> {
        let fail = |e: std::io::Error| format!("{}: {e}", self.0.display());
        let wanted = hex(sha1);
        let file = File::open(&self.0).map_err(fail)?;
        let length = file.metadata().map_err(fail)?.len();
        let mut file = BufReader::with_capacity(512, file);
        // The first line that is not below what is wanted begins in low..=high.
        let (mut low, mut high) = (0_u64, length);
        while low < high {
            let middle = low + (high - low) / 2;
            match line_from(&mut file, middle).map_err(fail)? {
                Some((end, line)) if line.as_str() < wanted.as_str() => low = end.max(middle + 1),
                Some(_) | None => high = middle,
            }
        }
        let found = line_from(&mut file, low).map_err(fail)?;
        Ok(found.is_some_and(|(_, line)| line == wanted))
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(DIGITS), |mut out, b| {
        // Writing into a String does not fail.
        let _ = write!(out, "{b:02X}");
        out
    })
}

/// The first whole line that begins at `from` or behind it (at 0: the first one): where it ends, and its hash.
fn line_from(file: &mut BufReader<File>, from: u64) -> std::io::Result<Option<(u64, String)>> {
    let mut begin = from;
    if from > 0 {
        // A line begins behind the end of another.
        file.seek(SeekFrom::Start(from - 1))?;
        begin = from - 1 + skip(file)?;
    } else {
        file.seek(SeekFrom::Start(0))?;
    }
    let mut line = Vec::new();
    let read = std::io::Read::take(&mut *file, LINE_BYTES).read_until(b'\n', &mut line)?;
    if read == 0 {
        return Ok(None);
    }
    let hash: String = line.iter().take(DIGITS).map(|b| char::from(b.to_ascii_uppercase())).collect();
    if hash.len() != DIGITS || !hash.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(std::io::Error::new(std::io::ErrorKind::InvalidData, "it is no list of SHA-1 hashes in order"));
    }
    Ok(Some((begin + u64::try_from(read).unwrap_or(u64::MAX), hash)))
}

/// Reads to the end of the line; answers how many bytes that were.
fn skip(file: &mut BufReader<File>) -> std::io::Result<u64> {
    let mut rest = Vec::new();
    let read = std::io::Read::take(&mut *file, LINE_BYTES).read_until(b'\n', &mut rest)?;
    Ok(u64::try_from(read).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use domain::passwords::KnownPasswords;

    use super::{KnownInFile, hex};

    #[test]
    fn every_line_is_found_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("known.txt");
        // Lines of different lengths, as counts make them.
        let hashes: Vec<[u8; 20]> = (0..200_u8)
            .map(|n| {
                let mut h = [7; 20];
                h[0] = n;
                h[1] = n.wrapping_mul(37);
                h
            })
            .collect();
        let of = |hashes: &[[u8; 20]]| {
            hashes.iter().enumerate().map(|(n, h)| format!("{}:{}\r\n", hex(h), n * n * n)).collect::<Vec<_>>().concat()
        };
        for many in [0, 1, 2, 3, 7, 200] {
            std::fs::write(&path, of(&hashes[..many])).unwrap();
            let list = KnownInFile(path.clone());
            for (n, hash) in hashes.iter().enumerate() {
                assert_eq!(list.holds(hash).unwrap(), n < many, "{n} of {many}");
            }
            assert!(!list.holds(&[0; 20]).unwrap() && !list.holds(&[255; 20]).unwrap());
        }
        std::fs::write(&path, "correct horse battery staple\n".repeat(9)).unwrap();
        assert!(KnownInFile(path).holds(&[1; 20]).unwrap_err().contains("no list of SHA-1"));
        assert!(KnownInFile(folder.path().join("none")).holds(&[1; 20]).is_err());
    }
}
