//! A migrated and peopled database on a server of the test's own, as the runtime role; and waiting for what comes by itself.

use std::time::Duration;

use store::{Actor, Config, Store, migrate};

use super::{People, cluster::Cluster, connect, people};

/// How long something that comes by itself may take on a busy machine.
const LONG: Duration = Duration::from_secs(60);

/// How the runtime role connects to a server on a port of this machine, with waiting as short as a test wants it.
pub fn runtime(port: u16) -> Config {
    at(&format!("127.0.0.1:{port}"))
}

/// The same for several servers, of which one takes writes.
pub fn at(hosts: &str) -> Config {
    let mut config = Config::from_url(&format!("postgres://steward@{hosts}/postgres")).unwrap();
    config.pool_size = 4;
    config.connect_timeout = Duration::from_secs(3);
    config.statement_timeout = Duration::from_secs(3);
    config
}

/// Brings the schema, the runtime role and the people into a server.
pub async fn settle(cluster: &Cluster) -> People {
    let owner = Config::from_url(&cluster.url("postgres")).unwrap();
    migrate::migrate(&owner).await.unwrap();
    connect(&owner).await.batch_execute("CREATE ROLE steward LOGIN IN ROLE app_user, app_service").await.unwrap();
    let store = Store::open(&runtime(cluster.port)).await.unwrap();
    let people = people(&store).await;
    store.close().await;
    people
}

/// The superuser's connection.
pub async fn owner(cluster: &Cluster) -> tokio_postgres::Client {
    connect(&Config::from_url(&cluster.url("postgres")).unwrap()).await
}

/// Waits until it is so.
pub async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let wait = async {
        let mut tick = tokio::time::interval(Duration::from_millis(20));
        while !is_so().await {
            tick.tick().await;
        }
    };
    tokio::time::timeout(LONG, wait).await.unwrap_or_else(|_| panic!("{what}: it never came to that"));
}

/// The same actor as a request of a person's.
pub fn asking(actor: &Actor) -> Actor {
    actor.clone().from_request(None, Some("test"), Some("r-1"))
}

/// A connection, if the server has one left.
pub async fn try_connect(config: &Config) -> Result<tokio_postgres::Client, tokio_postgres::Error> {
    let mut config = config.clone();
    let (client, connection) = super::target(&mut config).connect(tokio_postgres::NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}
