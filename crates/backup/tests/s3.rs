//! Bundles at a real S3-compatible server on loopback: uploads in parts, tries again, and what is locked.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on stops where it stands")]

use std::{
    net::{Ipv4Addr, SocketAddr},
    process::Stdio,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use backup::{
    Bundle, Error, Opener, Place, Writer, bundle,
    keys::Recipients,
    manifest::{Attachments, AuditHead, Facts},
    place::{Access, Lock, S3Access},
};
use bytes::Bytes;
use store::Vault;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional},
    net::{TcpListener, TcpStream},
    process::{Child, Command},
};

const PATIENCE: Duration = Duration::from_secs(60);

/// A server of the test's own.
struct Server {
    _child: Child,
    address: SocketAddr,
}

impl Server {
    async fn start() -> Self {
        let program = std::env::var_os("STEWARD_TEST_S3_SERVER").expect(
            "STEWARD_TEST_S3_SERVER is not set: run ./test, or name moto_server (pip install 'moto[server]') there",
        );
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        let child = Command::new(program)
            .args(["-H", "127.0.0.1", "-p", &address.port().to_string()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut look = tokio::time::interval(Duration::from_millis(50));
        tokio::time::timeout(PATIENCE, async {
            while TcpStream::connect(address).await.is_err() {
                look.tick().await;
            }
        })
        .await
        .unwrap();
        Self { _child: child, address }
    }

    /// Asks the server plainly, past the library that is tested.
    async fn ask(&self, request: &str) -> String {
        self.tell(request, "").await
    }

    /// The same with a body.
    async fn tell(&self, request: &str, body: &str) -> String {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let authorization = "Authorization: AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0";
        let text = format!(
            "{request}\r\nHost: {}\r\n{authorization}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            self.address,
            body.len()
        );
        stream.write_all(text.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    fn place(address: SocketAddr) -> Place {
        Self::place_in(address, "kept")
    }

    fn place_in(address: SocketAddr, bucket: &str) -> Place {
        let s3 = S3Access {
            endpoint: Some(format!("http://{address}")),
            region: None,
            access_key_id: Some("test".to_owned()),
            secret_access_key: Some("test".to_owned().into()),
        };
        Place::open(&format!("s3://{bucket}/steward"), &Access { s3, ..Access::default() }).unwrap()
    }
}

/// Passes connections on, but breaks off the first few.
async fn unsteady(to: SocketAddr, failures: usize) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let seen = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&seen);
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            if counted.fetch_add(1, Ordering::Relaxed) < failures {
                continue;
            }
            tokio::spawn(async move {
                let mut server = TcpStream::connect(to).await.unwrap();
                // Either side may go; the library then tries again.
                drop(copy_bidirectional(&mut client, &mut server).await);
            });
        }
    });
    (address, seen)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bundles_are_kept_in_object_storage() {
    let server = Server::start().await;
    let answer = server.ask("PUT /kept HTTP/1.1\r\nx-amz-bucket-object-lock-enabled: true").await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let (address, connections) = unsteady(server.address, 3).await;
    let place = Server::place(address);
    let dir = tempfile::tempdir().unwrap();
    let vault = Vault::open(&dir.path().join("master.key"), &dir.path().join("attachments")).unwrap();
    let mut writer = Writer::begin(&place, &Recipients::master(&vault)).unwrap();
    // Three parts of an upload: what does not shrink, and more than twice one part's 16 MiB.
    let mut content = vec![0_u8; 36 * 1024 * 1024];
    rand::RngCore::fill_bytes(&mut rand::rng(), &mut content);
    let written = content.clone();
    writer
        .add("database", move |out| out.write_all(&written).map_err(|e| Error::file("a part can't be written", e)))
        .await
        .unwrap();
    let facts = Facts {
        engine: "SQLite".to_owned(),
        server_version: "3".to_owned(),
        schema_version: 1,
        tables: std::collections::BTreeMap::new(),
        audit: AuditHead { links: 0, sha256: "0".repeat(64) },
        as_of: store::now(),
        log_position: None,
    };
    let made = writer.finish(facts, Attachments::default(), false, "0").await.unwrap();
    assert!(connections.load(Ordering::Relaxed) > 3, "it was tried again");
    let found = bundle::list(&place).await.unwrap();
    assert_eq!((found.bundles.len(), found.unfinished.len()), (1, 0));
    let opened = Bundle::open(&place, &made.id, &Opener::default().with_master(&vault)).await.unwrap();
    let back = opened
        .read("database", |source| {
            let mut back = Vec::new();
            source.read_to_end(&mut back).map_err(|e| Error::file("a part can't be read", e))?;
            Ok(back)
        })
        .await
        .unwrap();
    assert!(back == content);
    // A broken-off upload leaves nothing that anybody sees.
    let mut writer = Writer::begin(&place, &Recipients::master(&vault)).unwrap();
    let failed = writer.add::<()>("database", move |out| {
        out.write_all(&content).map_err(|e| Error::file("a part can't be written", e))?;
        Err(Error::refused("the database went away"))
    });
    assert_eq!(failed.await.unwrap_err().to_string(), "the database went away");
    assert_eq!(bundle::list(&place).await.unwrap().unfinished.len(), 0);
    let uploads = server.ask("GET /kept?uploads HTTP/1.1").await;
    assert!(uploads.starts_with("HTTP/1.1 200") && !uploads.contains("<UploadId>"), "{uploads}");
    bundle::remove(&place, &made.id).await.unwrap();
    assert!(place.list("bundles").await.unwrap().is_empty());
    assert!(matches!(place.get("bundles/none/00000.part").await, Err(Error::Missing { .. })));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bucket_that_is_not_there_is_named_in_plain_words() {
    let server = Server::start().await;
    let place = Server::place(server.address);
    let said = place.list("bundles").await.unwrap_err().to_string();
    assert!(said.contains("there is no such bucket; make it") && !said.contains('<'), "{said}");
    let said = place.put_bytes("probe/1", Bytes::from_static(b"kept")).await.unwrap_err().to_string();
    assert!(said.contains("there is no such bucket; make it") && !said.contains('<'), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_locked_outlives_its_removal() {
    let server = Server::start().await;
    let answer = server.ask("PUT /kept HTTP/1.1").await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert_eq!(Server::place(server.address).lock().await, Some(Lock::Missing));
    for bucket in ["locked", "ruled"] {
        let answer = server.ask(&format!("PUT /{bucket} HTTP/1.1\r\nx-amz-bucket-object-lock-enabled: true")).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert_eq!(Server::place_in(server.address, bucket).lock().await, Some(Lock::Open));
    }
    let rule = "<ObjectLockConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><ObjectLockEnabled>Enabled</ObjectLockEnabled><Rule><DefaultRetention><Mode>COMPLIANCE</Mode><Days>30</Days></DefaultRetention></Rule></ObjectLockConfiguration>";
    let answer = server.tell("PUT /ruled?object-lock HTTP/1.1", rule).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let kept = Lock::Kept { mode: "COMPLIANCE".to_owned(), time: "30 days".to_owned() };
    assert_eq!(Server::place_in(server.address, "ruled").lock().await, Some(kept));
    // Locked by hand: this server takes what a rule would lock only with a header that S3 itself does not ask for.
    let place = Server::place_in(server.address, "locked");
    place.put_bytes("probe/1", Bytes::from_static(b"kept")).await.unwrap();
    let until = "<Retention xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Mode>COMPLIANCE</Mode><RetainUntilDate>2099-01-01T00:00:00Z</RetainUntilDate></Retention>";
    let answer = server.tell("PUT /locked/steward/probe/1?retention HTTP/1.1", until).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    place.remove("probe/1").await.unwrap();
    assert!(matches!(place.get("probe/1").await, Err(Error::Missing { .. })));
    // What was removed is only hidden; and the version itself is removed by nobody before its time.
    let versions = server.ask("GET /locked?versions HTTP/1.1").await;
    let (_, version) = versions.split_once("<Version>").unwrap_or_else(|| panic!("{versions}"));
    let (_, id) = version.split_once("<VersionId>").unwrap();
    let (id, _) = id.split_once("</VersionId>").unwrap();
    let refused = server.ask(&format!("DELETE /locked/steward/probe/1?versionId={id} HTTP/1.1")).await;
    assert!(refused.contains("AccessDenied"), "{refused}");
    let there = server.ask(&format!("GET /locked/steward/probe/1?versionId={id} HTTP/1.1")).await;
    assert!(there.starts_with("HTTP/1.1 200") && there.ends_with("kept"), "{there}");
}
