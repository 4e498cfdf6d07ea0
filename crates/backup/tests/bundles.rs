//! Bundles come back as they were written, and whatever was done to one is found, with the part's name.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on stops where it stands")]

use std::path::{Path, PathBuf};

use backup::{
    Bundle, Error, Opener, Place, Writer, bundle,
    keys::Recipients,
    manifest::{Attachments, AuditHead, Facts},
    place::Access,
};
use store::Vault;
use tempfile::TempDir;

struct World {
    dir: TempDir,
    vault: Vault,
    place: Place,
}

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let vault = Vault::open(&dir.path().join("master.key"), &dir.path().join("attachments")).unwrap();
        let place = Place::open(dir.path().join("kept").to_str().unwrap(), &Access::default()).unwrap();
        Self { dir, vault, place }
    }

    fn opener(&self) -> Opener {
        Opener::default().with_master(&self.vault)
    }

    fn part(&self, id: &str, index: u64) -> PathBuf {
        self.dir.path().join(format!("kept/bundles/{id}/{index:05}.part"))
    }

    /// A bundle of two parts; the second is larger than several blocks and does not shrink.
    async fn bundle(&self, recipients: &Recipients) -> (String, Vec<u8>) {
        let mut big = vec![0_u8; 700_001];
        rand_bytes(&mut big);
        let mut writer = Writer::begin(&self.place, recipients).unwrap();
        writer.add("small", |out| put(out, b"few bytes")).await.unwrap();
        let content = big.clone();
        writer.add("database/big", move |out| put(out, &content)).await.unwrap();
        let facts = Facts {
            engine: "SQLite".to_owned(),
            server_version: "3".to_owned(),
            schema_version: 21,
            tables: [("tasks".to_owned(), 3)].into(),
            audit: AuditHead { links: 1, sha256: "0".repeat(64) },
            as_of: store::now(),
            log_position: None,
        };
        let contents = writer.finish(facts, Attachments::default(), false, "0").await.unwrap();
        (contents.id, big)
    }
}

fn put(out: &mut dyn std::io::Write, content: &[u8]) -> backup::Result<()> {
    out.write_all(content).map_err(|e| Error::file("a part can't be written", e))
}

/// Noise that is the same each time.
fn rand_bytes(into: &mut [u8]) {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for byte in into {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        *byte = state.to_le_bytes()[0];
    }
}

async fn content(bundle: &Bundle, part: &str) -> backup::Result<Vec<u8>> {
    bundle
        .read(part, |source| {
            let mut content = Vec::new();
            // What breaks off here is told by whoever reads the part.
            let read = source.read_to_end(&mut content);
            read.map_err(|e| e.downcast::<Error>().unwrap())?;
            Ok(content)
        })
        .await
}

fn flip(path: &Path, at: usize) {
    let mut bytes = std::fs::read(path).unwrap();
    bytes[at] ^= 1;
    std::fs::write(path, bytes).unwrap();
}

#[tokio::test]
async fn a_bundle_comes_back_and_shows_nothing_at_the_place() {
    let world = World::new();
    let (id, big) = world.bundle(&Recipients::master(&world.vault)).await;
    let found = bundle::list(&world.place).await.unwrap();
    assert_eq!(found.bundles.iter().map(|b| &b.id).collect::<Vec<_>>(), [&id]);
    let opened = Bundle::open(&world.place, &id, &world.opener()).await.unwrap();
    assert_eq!(opened.manifest().facts.tables["tasks"], 3);
    assert_eq!(content(&opened, "small").await.unwrap(), b"few bytes");
    assert!(content(&opened, "database/big").await.unwrap() == big);
    opened.verify().await.unwrap();
    for entry in world.place.list("bundles").await.unwrap() {
        let raw = std::fs::read(world.dir.path().join("kept").join(&entry.name)).unwrap();
        assert!(!raw.windows(9).any(|w| w == b"few bytes"), "{}", entry.name);
    }
}

#[tokio::test]
async fn a_node_writes_for_recipients_what_it_cannot_read() {
    let world = World::new();
    let identity = age::x25519::Identity::generate();
    let recipients = Recipients::people(&[identity.to_public().to_string()]).unwrap();
    let (id, _) = world.bundle(&recipients).await;
    let said = Bundle::open(&world.place, &id, &world.opener()).await.unwrap_err().to_string();
    assert!(said.contains("manifest of") && said.contains("--identity"), "{said}");
    let file = world.dir.path().join("keys.txt");
    let text = age::secrecy::ExposeSecret::expose_secret(&identity.to_string()).to_owned();
    std::fs::write(&file, format!("# created: today\n{text}\n")).unwrap();
    let opener = Opener::default().with_identities(&file).unwrap();
    Bundle::open(&world.place, &id, &opener).await.unwrap().verify().await.unwrap();
    assert!(Recipients::people(&["age1nonsense".to_owned()]).is_err());
}

#[tokio::test]
async fn another_master_key_is_refused_by_name() {
    let world = World::new();
    let (id, _) = world.bundle(&Recipients::master(&world.vault)).await;
    let other = World::new();
    let refused = Bundle::open(&world.place, &id, &other.opener()).await.unwrap_err();
    assert!(matches!(&refused, Error::Locked { part, .. } if part.contains("manifest")), "{refused}");
    assert!(matches!(Bundle::open(&world.place, &id, &Opener::default()).await, Err(Error::Locked { .. })));
}

#[tokio::test]
async fn whatever_is_done_to_a_part_is_found() {
    let world = World::new();
    let (id, _) = world.bundle(&Recipients::master(&world.vault)).await;
    let (other, _) = world.bundle(&Recipients::master(&world.vault)).await;
    let opened = Bundle::open(&world.place, &id, &world.opener()).await.unwrap();
    let path = world.part(&id, 2);
    let whole = std::fs::read(&path).unwrap();
    let block = 128 * 1024 + 16;
    let head = whole.len() - (whole.len() / block) * block;
    let mut reordered = whole.clone();
    let (first, second) = reordered[head..].split_at_mut(block);
    first.swap_with_slice(&mut second[..block]);
    let elsewhere = std::fs::read(world.part(&other, 2)).unwrap();
    let small = std::fs::read(world.part(&id, 1)).unwrap();
    let cases: Vec<(&str, Option<Vec<u8>>)> = vec![
        ("cut by a byte", Some(whole[..whole.len() - 1].to_vec())),
        ("cut at a block", Some(whole[..head + block].to_vec())),
        ("cut in its head", Some(whole[..40].to_vec())),
        ("longer", Some([whole.as_slice(), b"x"].concat())),
        ("reordered", Some(reordered)),
        ("another bundle's", Some(elsewhere)),
        ("another part", Some(small)),
        ("empty", Some(Vec::new())),
        ("missing", None),
    ];
    for (what, bytes) in cases {
        match bytes {
            Some(bytes) => std::fs::write(&path, bytes).unwrap(),
            None => std::fs::remove_file(&path).unwrap(),
        }
        let said = opened.verify().await.unwrap_err().to_string();
        assert!(said.contains("database/big of"), "{what}: {said}");
    }
    for at in [0, 9, 30, head + 5, whole.len() / 2, whole.len() - 1] {
        std::fs::write(&path, &whole).unwrap();
        flip(&path, at);
        let said = opened.verify().await.unwrap_err().to_string();
        assert!(said.contains("database/big of"), "altered at {at}: {said}");
    }
    std::fs::write(&path, &whole).unwrap();
    opened.verify().await.unwrap();
}

#[tokio::test]
async fn the_table_of_contents_and_the_manifest_must_agree() {
    let world = World::new();
    let (id, _) = world.bundle(&Recipients::master(&world.vault)).await;
    let table = world.dir.path().join(format!("kept/bundles/{id}/contents.json"));
    let text = std::fs::read_to_string(&table).unwrap();
    std::fs::write(&table, text.replace("database/big", "database/bag")).unwrap();
    let said = Bundle::open(&world.place, &id, &world.opener()).await.unwrap_err().to_string();
    assert!(said.contains("contents of"), "{said}");
    std::fs::remove_file(&table).unwrap();
    assert!(matches!(Bundle::open(&world.place, &id, &world.opener()).await, Err(Error::Missing { .. })));
    let found = bundle::list(&world.place).await.unwrap();
    assert_eq!((found.bundles.len(), found.unfinished.len()), (0, 1));
    bundle::remove(&world.place, &id).await.unwrap();
    assert!(world.place.list("bundles").await.unwrap().is_empty());
}

#[tokio::test]
async fn a_failing_part_makes_no_bundle_and_says_why() {
    let world = World::new();
    let mut writer = Writer::begin(&world.place, &Recipients::master(&world.vault)).unwrap();
    let failed = writer.add::<()>("database", |out| {
        put(out, &vec![1; 300_000])?;
        Err(Error::refused("the database went away"))
    });
    assert_eq!(failed.await.unwrap_err().to_string(), "the database went away");
    assert!(bundle::list(&world.place).await.unwrap().bundles.is_empty());
    assert!(world.place.list("bundles").await.unwrap().is_empty(), "nothing half-written is seen");
}
