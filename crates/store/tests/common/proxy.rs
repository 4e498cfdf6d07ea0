//! A network between two programs on loopback that can hang, in both directions or in one, and be cut.

use std::sync::Arc;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
};

/// How the network is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Network {
    /// As it should be.
    Works,
    /// What is sent arrives; the answers do not.
    HoldsAnswers,
    /// Nothing arrives anywhere, and nobody is told.
    Hangs,
    /// Connections break, and new ones are broken off at once.
    IsCut,
}

/// A port that leads to another.
#[derive(Debug)]
pub struct Proxy {
    pub port: u16,
    network: Arc<watch::Sender<Network>>,
}

impl Proxy {
    /// Leads to a port of this machine.
    pub async fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let own = listener.local_addr().unwrap().port();
        let network = Arc::new(watch::Sender::new(Network::Works));
        let weak = Arc::downgrade(&network);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let Some(network) = weak.upgrade() else { return };
                if *network.borrow() != Network::IsCut
                    && let Ok(server) = TcpStream::connect(("127.0.0.1", port)).await
                {
                    let ((from_client, to_client), (from_server, to_server)) =
                        (client.into_split(), server.into_split());
                    tokio::spawn(pass(from_client, to_server, network.subscribe(), |n| n == Network::HoldsAnswers));
                    tokio::spawn(pass(from_server, to_client, network.subscribe(), |_| false));
                }
            }
        });
        Self { port: own, network }
    }

    pub fn becomes(&self, network: Network) {
        self.network.send_replace(network);
    }
}

/// Passes on what comes while the network works, or while `also` says that this direction does.
async fn pass(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut network: watch::Receiver<Network>,
    also: impl Fn(Network) -> bool + Copy,
) {
    let mut cut = network.clone();
    let passing = async {
        let mut bytes = vec![0_u8; 64 * 1024];
        while let Ok(length @ 1..) = from.read(&mut bytes).await {
            let goes = |n: &Network| *n == Network::Works || also(*n);
            if network.wait_for(goes).await.is_err() || to.write_all(&bytes[..length]).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = passing => {}
        _ = cut.wait_for(|n| *n == Network::IsCut) => {}
    }
}
