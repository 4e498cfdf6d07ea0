//! Bundles on a real SFTP server on loopback, reached as an operator reaches it: through `ssh`, with a key.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on stops where it stands")]

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use backup::{Error, Place, place::Access};
use bytes::Bytes;
use tokio::{
    net::{TcpListener, TcpStream},
    process::{Child, Command},
};

const PATIENCE: Duration = Duration::from_secs(60);

async fn keygen(path: &Path) {
    let made = Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(path).status().await;
    assert!(made.expect("ssh-keygen is missing: run ./test, which installs OpenSSH").success());
}

/// A server for whoever runs the test, with keys of its own.
async fn server(dir: &Path) -> (Child, SocketAddr, PathBuf) {
    let (host_key, user_key) = (dir.join("host"), dir.join("user"));
    keygen(&host_key).await;
    keygen(&user_key).await;
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    let known = std::fs::read_to_string(host_key.with_extension("pub")).unwrap();
    std::fs::write(dir.join("known"), format!("[127.0.0.1]:{} {known}", address.port())).unwrap();
    let server = format!(
        "ListenAddress {address}\nHostKey {}\nAuthorizedKeysFile {}\nPidFile none\nStrictModes no\nUsePAM no\nPasswordAuthentication no\nPermitRootLogin prohibit-password\nSubsystem sftp internal-sftp\n",
        host_key.display(),
        user_key.with_extension("pub").display()
    );
    std::fs::write(dir.join("sshd_config"), server).unwrap();
    let client = format!(
        "Host *\n  IdentityFile {}\n  IdentitiesOnly yes\n  UserKnownHostsFile {}\n  StrictHostKeyChecking yes\n",
        user_key.display(),
        dir.join("known").display()
    );
    let ssh_config = dir.join("ssh_config");
    std::fs::write(&ssh_config, client).unwrap();
    let child = Command::new("/usr/sbin/sshd")
        .args(["-D", "-e", "-f"])
        .arg(dir.join("sshd_config"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .expect("sshd is missing: run ./test, which installs OpenSSH");
    let mut look = tokio::time::interval(Duration::from_millis(50));
    tokio::time::timeout(PATIENCE, async {
        while TcpStream::connect(address).await.is_err() {
            look.tick().await;
        }
    })
    .await
    .unwrap();
    (child, address, ssh_config)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn things_are_kept_on_an_sftp_server() {
    let dir = tempfile::tempdir().unwrap();
    let (mut child, address, ssh_config) = server(dir.path()).await;
    let access = Access { ssh_config: Some(ssh_config), ..Access::default() };
    let kept = dir.path().join("kept");
    let place = Place::open(&format!("sftp://127.0.0.1:{}{}", address.port(), kept.display()), &access).unwrap();
    assert!(place.list("bundles").await.unwrap().is_empty());
    let content = Bytes::from((0..3_000_000_u32).flat_map(|n| (n % 251).to_le_bytes()).collect::<Vec<u8>>());
    place.put_bytes("bundles/one/00001.part", content.clone()).await.unwrap();
    place.put_bytes("bundles/one/contents.json", Bytes::from_static(b"{}")).await.unwrap();
    // What is put again takes the place of what was there.
    place.put_bytes("bundles/one/contents.json", Bytes::from_static(b"{ }")).await.unwrap();
    let names: Vec<(String, u64)> =
        place.list("bundles").await.unwrap().into_iter().map(|e| (e.name, e.size_bytes)).collect();
    assert_eq!(names, [("bundles/one/00001.part".to_owned(), 12_000_000), ("bundles/one/contents.json".to_owned(), 3)]);
    assert!(place.get_bytes("bundles/one/00001.part", 13_000_000).await.unwrap() == content);
    assert!(matches!(place.get("bundles/two/contents.json").await, Err(Error::Missing { .. })));
    place.remove("bundles/one/00001.part").await.unwrap();
    place.remove("bundles/one/contents.json").await.unwrap();
    place.remove("bundles/one/contents.json").await.unwrap();
    assert!(!kept.join("bundles").exists(), "empty folders go with the last file");
    // A server that is gone is told, not waited for.
    child.kill().await.unwrap();
    let other = Place::open(&format!("sftp://127.0.0.1:{}{}", address.port(), kept.display()), &access).unwrap();
    let said = other.list("bundles").await.unwrap_err();
    assert!(matches!(&said, Error::Place { .. }) && said.is_transient(), "{said}");
}

#[test]
fn a_place_is_no_option_of_ssh() {
    for wrong in ["sftp://-oProxyCommand=x/folder", "sftp://host", "sftp:///folder", "sftp://a b/folder", "ftp://h/f"] {
        assert!(matches!(Place::open(wrong, &Access::default()), Err(Error::Config(_))), "{wrong}");
    }
}
