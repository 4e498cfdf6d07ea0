//! Files of the audit trail: whole ones, and every way of meddling with one.

use std::io::Write;

use store::canonical::{GENESIS_SHA256, chain_sha256};

use super::*;

fn key() -> SigningKey {
    SigningKey::from_seed(&[7; 32]).unwrap()
}

fn links(from: i64, count: i64, previous: &str) -> Vec<Link> {
    let mut head = previous.to_owned();
    (from..from + count)
        .map(|position| {
            let id = format!("00000000-0000-4000-8000-{position:012}");
            let text = format!(
                "[\"{id}\", null, \"x\\\"ü\", null, null, null, null, null, null, \"2026-11-22T17:50:54.120000Z\"]"
            );
            let sha256 = chain_sha256(&head, &text);
            let link = Link::new(position, id, head.clone(), sha256.clone(), Some(text));
            head = sha256;
            link
        })
        .collect()
}

fn file(links: &[Link], from: i64) -> Vec<u8> {
    let previous = links.first().map_or(GENESIS_SHA256.to_owned(), |l| l.previous_sha256.clone());
    let range = (from, from + i64::try_from(links.len()).unwrap() - 1);
    let mut writer = Writer::begin(Vec::new(), key(), "2026-11-22T00:00:00Z".to_owned(), range, previous).unwrap();
    for link in links {
        writer.push(link).unwrap();
    }
    writer.finish().unwrap().0
}

/// The same file with its lines changed.
fn meddled(whole: &[u8], change: impl FnOnce(&mut Vec<String>)) -> Vec<u8> {
    let text = String::from_utf8(zstd::decode_all(whole).unwrap()).unwrap();
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    change(&mut lines);
    let mut out = zstd::Encoder::new(Vec::new(), 1).unwrap();
    for line in lines {
        writeln!(out, "{line}").unwrap();
    }
    out.finish().unwrap()
}

#[test]
fn a_whole_file_is_good() {
    for (from, count) in [(1, 0), (1, 1), (1, 50), (17, 3)] {
        let previous = if from == 1 { GENESIS_SHA256.to_owned() } else { "a".repeat(64) };
        let all = links(from, count, &previous);
        let file = file(&all, from);
        for trusted in [None, Some(key().public_hex())] {
            let found = check(file.as_slice(), trusted.as_deref()).unwrap();
            assert_eq!((found.broken, found.summary.count), (None, count));
            assert_eq!(found.summary.head, all.last().map_or(GENESIS_SHA256, |l| &l.sha256), "{from} {count}");
        }
        let other = SigningKey::from_seed(&[8; 32]).unwrap().public_hex();
        assert!(check(file.as_slice(), Some(&other)).unwrap_err().to_string().contains("signed with the key"));
    }
}

#[test]
fn what_was_done_to_a_row_is_named() {
    let whole = file(&links(1, 9, GENESIS_SHA256), 1);
    let damage = |change: &dyn Fn(&mut Vec<String>)| {
        let found = check(meddled(&whole, |l| change(l)).as_slice(), None).unwrap().broken.unwrap();
        (found.damage, found.position.unwrap())
    };
    assert_eq!(damage(&|l| l[5] = l[5].replace("\"text\":\"[", "\"text\":\"[ ")), (Damage::Altered, 5));
    assert_eq!(damage(&|l| drop(l.remove(4))), (Damage::Removed, 4));
    assert_eq!(damage(&|l| l.swap(3, 6)), (Damage::Reordered, 6));
    assert_eq!(damage(&|l| l.insert(3, l[2].clone())), (Damage::Inserted, 2));
    assert_eq!(damage(&|l| l.push(l[2].clone())), (Damage::Inserted, 9));
    assert_eq!(damage(&|l| drop(l.remove(9))), (Damage::Removed, 9));
    let row = links(1, 9, GENESIS_SHA256)[3].row_id.clone();
    let found =
        check(meddled(&whole, |l| l[4] = l[4].replace("null", "true")).as_slice(), None).unwrap().broken.unwrap();
    assert_eq!((found.row_id, found.created_at.as_deref()), (Some(row), Some("2026-11-22T17:50:54.120000Z")));
}

#[test]
fn a_file_that_was_made_anew_is_not_signed() {
    let whole = file(&links(1, 5, GENESIS_SHA256), 1);
    // Every row hashed anew, as whoever knows the format can.
    let anew = meddled(&whole, |lines| {
        let mut head = GENESIS_SHA256.to_owned();
        for text in &mut lines[1..6] {
            let mut line: Line = serde_json::from_str(text).unwrap();
            line.text = line.text.replace("17:50", "18:50");
            line.sha256 = chain_sha256(&head, &line.text);
            head.clone_from(&line.sha256);
            *text = serde_json::to_string(&line).unwrap();
        }
        let mut trailer: Trailer = serde_json::from_str(&lines[6]).unwrap();
        trailer.head_sha256 = head;
        lines[6] = serde_json::to_string(&trailer).unwrap();
    });
    for (file, said) in [
        (anew, "signature does not fit"),
        (meddled(&whole, |l| l[0] = l[0].replace("2026", "2025")), "signature does not fit"),
        (meddled(&whole, |l| l[6] = l[6].replace("\"signature\":\"", "\"signature\":\"0")), "signature does not fit"),
        (meddled(&whole, |l| l.truncate(4)), "without a signature"),
        (meddled(&whole, |l| l[2] = "{}".to_owned()), "neither a row nor the end"),
        (meddled(&whole, Vec::clear), "empty"),
        (meddled(&whole, |l| l[0] = "{}".to_owned()), "no header"),
        (whole[..whole.len() - 9].to_vec(), "can't be read"),
        (b"something else".to_vec(), "can't be read"),
    ] {
        let error = check(file.as_slice(), None).unwrap_err().to_string();
        assert!(error.contains(said), "{error}");
    }
}

#[test]
fn a_broken_chain_is_not_exported() {
    let mut all = links(1, 3, GENESIS_SHA256);
    all[1].text = Some("[]".to_owned());
    all[1] = Link::new(2, String::new(), all[1].previous_sha256.clone(), all[1].sha256.clone(), all[1].text.clone());
    let begin = |to| Writer::begin(Vec::new(), key(), String::new(), (1, to), GENESIS_SHA256.to_owned()).unwrap();
    let mut writer = begin(3);
    writer.push(&all[0]).unwrap();
    assert!(writer.push(&all[1]).unwrap_err().to_string().contains("position 2"));
    let mut writer = begin(2);
    writer.push(&all[0]).unwrap();
    assert!(writer.finish().unwrap_err().to_string().contains("ends at position 1"));
}
