//! Streaming standbys of a test's own server.

use super::cluster::Cluster;

/// A streaming standby of a server, started.
pub fn standby_of(primary: &Cluster) -> Cluster {
    let standby = Cluster::folder();
    let copied = standby
        .program("pg_basebackup")
        .args(["-h", "127.0.0.1", "-U", "postgres", "-R", "-X", "stream", "-c", "fast", "-p"])
        .arg(primary.port.to_string())
        .arg("-D")
        .arg(standby.data())
        .output()
        .unwrap();
    assert!(copied.status.success(), "{copied:?}");
    // Once it is the primary it waits for nobody.
    standby.configure(&["synchronous_standby_names = ''"]);
    standby.resume();
    standby
}

/// A standby without which nothing is acknowledged.
pub fn synchronous_standby_of(primary: &Cluster) -> Cluster {
    let standby = standby_of(primary);
    primary.configure(&["synchronous_standby_names = '*'"]);
    control(primary, "reload");
    standby
}

/// Runs `pg_ctl` with one more word on a server.
pub fn control(cluster: &Cluster, word: &str) {
    let done = cluster.program("pg_ctl").args(["-w", "-t", "60", "-D"]).arg(cluster.data()).arg(word).output().unwrap();
    assert!(done.status.success(), "{done:?}");
}
