//! The server itself: bounded connections, bounded time for headers, and an end that finishes what was begun.

use std::{io, net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{ConnectInfo, Request},
};
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::util::MapRequest;

use crate::{
    State, Tls,
    app::{self, App},
    upload,
};

/// Connections at once; the next one waits to be accepted. Streams of events take a part of them.
const CONNECTIONS: usize = 2048;
/// From the last answer (or the connection's begin) to the end of the next request's headers.
const HEADERS: Duration = Duration::from_secs(30);
/// A connection takes no new request after this, so that none lives for ever.
const AGE: Duration = Duration::from_secs(15 * 60);
/// What is under way when a connection is to end has this long; longer than any answer may take.
const LAST_ANSWER: Duration = upload::TIME;
/// What is under way when Steward ends has this long.
const GRACE: Duration = Duration::from_secs(10);
/// Bytes of a request's head.
const HEAD_BYTES: usize = 64 * 1024;

/// Serves the desk and the API until `shutdown`; then finishes what was begun, for at most ten seconds.
pub async fn serve(listener: TcpListener, state: State, shutdown: CancellationToken) -> io::Result<()> {
    run(listener, state, None, shutdown).await
}

/// The same over TLS. A certificate whose files change is taken up.
pub async fn serve_tls(
    listener: TcpListener,
    state: State,
    tls: Arc<Tls>,
    shutdown: CancellationToken,
) -> io::Result<()> {
    let end = shutdown.child_token();
    let follow = tokio::spawn(Arc::clone(&tls).follow(end.clone()));
    let served = run(listener, state, Some(tls), shutdown).await;
    end.cancel();
    follow.await.map_err(io::Error::other)?;
    served
}

async fn run(
    listener: TcpListener,
    state: State,
    tls: Option<Arc<Tls>>,
    shutdown: CancellationToken,
) -> io::Result<()> {
    let router = app::router(App::new(state, listener.local_addr()?, shutdown.clone()));
    let (slots, connections, cut) =
        (Arc::new(Semaphore::new(CONNECTIONS)), TaskTracker::new(), CancellationToken::new());
    while let Some((stream, peer, slot)) = next(&listener, &slots, &shutdown).await {
        let (router, tls, shutdown, cut) = (router.clone(), tls.clone(), shutdown.clone(), cut.clone());
        connections.spawn(async move {
            let _slot = slot;
            tokio::select! {
                () = connection(stream, peer, router, tls, &shutdown) => {}
                () = cut.cancelled() => {}
            }
        });
    }
    drop(listener);
    connections.close();
    if time::timeout(GRACE, connections.wait()).await.is_err() {
        tracing::warn!(open = connections.len(), "connections were cut because they did not end within ten seconds");
    }
    cut.cancel();
    Ok(())
}

/// The next connection with its place; none when it is time to end.
async fn next(
    listener: &TcpListener,
    slots: &Arc<Semaphore>,
    shutdown: &CancellationToken,
) -> Option<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let accepted = async {
        // The semaphore is never closed.
        let slot = Arc::clone(slots).acquire_owned().await.ok()?;
        loop {
            match listener.accept().await {
                Ok((stream, peer)) => return Some((stream, peer, slot)),
                Err(e) => {
                    // Out of descriptors, for example: others must end first.
                    tracing::warn!(error = %e, "a connection could not be accepted");
                    time::sleep(Duration::from_millis(200)).await;
                }
            }
        }
    };
    tokio::select! {
        biased;
        () = shutdown.cancelled() => None,
        accepted = accepted => accepted,
    }
}

/// Came over our own TLS.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OverTls;

async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    router: Router,
    tls: Option<Arc<Tls>>,
    shutdown: &CancellationToken,
) {
    if let Err(e) = stream.set_nodelay(true) {
        tracing::debug!(error = %e, "a connection stays without TCP_NODELAY");
    }
    match tls {
        None => requests(stream, peer, router, false, shutdown).await,
        Some(tls) => match tls.accept(stream).await {
            Ok(stream) => requests(stream, peer, router, true, shutdown).await,
            Err(e) => tracing::debug!(error = %e, "a connection did not come to TLS"),
        },
    }
}

async fn requests(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    peer: SocketAddr,
    router: Router,
    is_tls: bool,
    shutdown: &CancellationToken,
) {
    let service = MapRequest::new(router, move |mut request: hyper::Request<hyper::body::Incoming>| -> Request {
        request.extensions_mut().insert(ConnectInfo(peer));
        if is_tls {
            request.extensions_mut().insert(OverTls);
        }
        request.map(axum::body::Body::new)
    });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEADERS).max_buf_size(HEAD_BYTES);
    let mut work = pin!(builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(service)));
    let ended = tokio::select! {
        ended = work.as_mut() => Some(ended),
        () = shutdown.cancelled() => None,
        () = time::sleep(AGE) => None,
    };
    let ended = if let Some(ended) = ended {
        ended
    } else {
        work.as_mut().graceful_shutdown();
        time::timeout(LAST_ANSWER, work).await.unwrap_or(Ok(()))
    };
    if let Err(e) = ended {
        tracing::debug!(error = %e, "a connection ended early");
    }
}
