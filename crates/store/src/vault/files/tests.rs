//! Files of every size, whole, in part, altered, too large and swept.

use super::{super::tests::vault, *};

fn read(vault: &Vault, stored: &Stored, from: u64, to: u64) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    vault.open_file(&stored.storage_path, Some(&stored.sealed_key))?.copy(from, to, &mut out)?;
    Ok(out)
}

#[test]
fn files_of_every_size_come_back_and_are_unreadable_at_rest() {
    let (dir, vault) = vault();
    for size in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK + 7] {
        let content: Vec<u8> = (0..size).map(|i| u8::try_from(i % 251).unwrap()).collect();
        let stored = vault.store(&mut content.as_slice(), u64::MAX).unwrap();
        let hash = hex::encode(Sha256::digest(&content));
        assert_eq!((&stored.sha256, stored.size_bytes), (&hash, size as u64));
        assert!(!stored.storage_path.contains(&hash), "the name shows the content to nobody without the key");
        let all = size as u64;
        assert!(read(&vault, &stored, 0, all).unwrap() == content);
        for (from, to) in [(0, 1), (all / 2, all), (all.saturating_sub(1), all), (65_535, 65_537), (65_536, 65_536)] {
            let (low, high) = (usize::try_from(from.min(all)).unwrap(), usize::try_from(to.min(all)).unwrap());
            assert!(read(&vault, &stored, from, to).unwrap() == content[low..high.max(low)], "{from}-{to} of {size}");
        }
        let mut opened = vault.open_file(&stored.storage_path, Some(&stored.sealed_key)).unwrap();
        assert_eq!(opened.digest(&|| false).unwrap(), Some(hash));
        let raw = std::fs::read(dir.path().join("attachments").join(&stored.storage_path)).unwrap();
        assert!(size < 16 || !raw.windows(16).any(|w| content.starts_with(w)));
    }
}

#[test]
fn altered_cut_swapped_and_missing_files_are_refused() {
    let (dir, vault) = vault();
    let stored = vault.store(&mut vec![7; 2 * CHUNK].as_slice(), u64::MAX).unwrap();
    let other = vault.store(&mut vec![8; 2 * CHUNK].as_slice(), u64::MAX).unwrap();
    let path = dir.path().join("attachments").join(&stored.storage_path);
    let whole = std::fs::read(&path).unwrap();
    let mut altered = whole.clone();
    altered[200] ^= 1;
    let swapped = std::fs::read(dir.path().join("attachments").join(&other.storage_path)).unwrap();
    let cut = [whole[..whole.len() - CHUNK - TAG].to_vec(), whole[..whole.len() - 1].to_vec(), Vec::new()];
    for bad in [altered, swapped].into_iter().chain(cut) {
        std::fs::write(&path, bad).unwrap();
        assert!(matches!(read(&vault, &stored, 0, u64::MAX), Err(Error::Damaged(_))));
    }
    std::fs::remove_file(&path).unwrap();
    assert!(read(&vault, &stored, 0, 1).unwrap_err().to_string().contains("is missing"));
    for place in ["../../etc/passwd", "incoming/../x", "incoming/", "", "/etc/passwd"] {
        assert!(vault.open_file(place, None).is_err(), "{place}");
    }
}

#[test]
fn too_much_is_refused_and_leaves_nothing() {
    let (dir, vault) = vault();
    let vault = vault.with_limits(Limits { file_bytes: 99, total_bytes: 150 });
    let said = vault.store(&mut vec![0; 100].as_slice(), 99).unwrap_err().to_string();
    assert!(said.contains("99 bytes"), "{said}");
    assert!(matches!(vault.store_beside(&mut vec![0; 60].as_slice(), 99, 100), Err(Error::Quota { .. })));
    let one = vault.store_beside(&mut vec![0; 90].as_slice(), 99, 0).unwrap();
    assert!(matches!(vault.store_beside(&mut vec![0; 90].as_slice(), 99, 0), Err(Error::Quota { .. })), "together");
    assert_eq!(vault.incoming_bytes(), 90);
    drop(one);
    assert_eq!(vault.incoming_bytes(), 0);
    let left = std::fs::read_dir(dir.path().join("attachments").join(INCOMING)).unwrap().count();
    assert_eq!((left, vault.older_than(Duration::ZERO, 10).len()), (0, 1));
}

/// Content that asks, in its middle, for everything to be swept.
struct Swept<'a>(&'a Vault, usize);
impl Read for Swept<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.0.clear_incoming(Duration::ZERO).unwrap();
        let size = buffer.len().min(self.1);
        self.1 -= size;
        Ok(size)
    }
}

#[test]
fn a_sweep_leaves_alone_what_is_being_written() {
    let (dir, vault) = vault();
    let stored = vault.store(&mut Swept(&vault, 3 * CHUNK), u64::MAX).unwrap();
    assert!(vault.is_busy(&stored.storage_path));
    assert_eq!(read(&vault, &stored, 0, u64::MAX).unwrap().len(), 3 * CHUNK);
    let place = stored.storage_path.clone();
    drop(stored);
    assert!(!vault.is_busy(&place));
    let left = dir.path().join("attachments").join(INCOMING).join(Uuid::now_v7().to_string());
    std::fs::write(&left, "half").unwrap();
    assert_eq!(vault.clear_incoming(Duration::from_secs(60)).unwrap(), 0, "it is young");
    assert_eq!(vault.clear_incoming(Duration::ZERO).unwrap(), 1);
}

#[test]
fn a_file_that_bears_its_own_key_is_read() {
    let (dir, vault) = vault();
    let place = "ab/0192d3a4-5b6c-7d8e-9f00-1122334455ab";
    let (key, nonce) = ([5_u8; 32], [6_u8; STREAM_NONCE]);
    let mut bytes = OLD_MAGIC.to_vec();
    bytes.extend(vault.seal(place.as_bytes(), &key).unwrap().0);
    bytes.extend(nonce);
    let mut stream = EncryptorBE32::from_aead(XChaCha20Poly1305::new(&key.into()), (&nonce).into());
    bytes.extend(stream.encrypt_next(vec![1; CHUNK].as_slice()).unwrap());
    bytes.extend(stream.encrypt_last([2; 10].as_slice()).unwrap());
    let path = dir.path().join("attachments").join(place);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, bytes).unwrap();
    let mut opened = vault.open_file(place, None).unwrap();
    let mut content = Vec::new();
    opened.copy(CHUNK as u64 - 2, u64::MAX, &mut content).unwrap();
    assert_eq!((content.len(), opened.bears_key()), (12, true));
    let anew = vault.store(&mut opened.into_reader(), u64::MAX).unwrap();
    assert_eq!(read(&vault, &anew, CHUNK as u64 - 2, u64::MAX).unwrap(), content);
}
