//! The server on a real socket: it answers, refuses what is too long, and ends in order.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use super::house::House;

const SOON: Duration = Duration::from_secs(10);

async fn talk(stream: &mut TcpStream, request: &str) -> String {
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = vec![0; 65_536];
    let n = timeout(SOON, stream.read(&mut answer)).await.expect("an answer").unwrap();
    String::from_utf8_lossy(&answer[..n]).into_owned()
}

#[tokio::test]
async fn it_answers_and_ends_in_order() {
    let house = House::new().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let shutdown = CancellationToken::new();
    let server = tokio::spawn(crate::serve(listener, house.state.clone(), shutdown.clone()));

    let mut idle = TcpStream::connect(address).await.unwrap();
    let alive = talk(&mut idle, &format!("GET /healthz HTTP/1.1\r\nHost: {address}\r\n\r\n")).await;
    assert!(alive.starts_with("HTTP/1.1 200"), "{alive}");
    let mut long = TcpStream::connect(address).await.unwrap();
    let refused =
        talk(&mut long, &format!("GET / HTTP/1.1\r\nHost: {address}\r\n{}\r\n", "X: x\r\n".repeat(150))).await;
    assert!(refused.starts_with("HTTP/1.1 431"), "{refused}");

    // A form of which half came when the end is asked for is still answered.
    let mut half = TcpStream::connect(address).await.unwrap();
    let head = format!(
        "POST /login HTTP/1.1\r\nHost: {address}\r\nExpect: 100-continue\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 18\r\n\r\n"
    );
    let go_on = talk(&mut half, &head).await;
    assert!(go_on.starts_with("HTTP/1.1 100"), "the handler is reading: {go_on}");
    shutdown.cancel();
    let last = talk(&mut half, "login=a&password=b").await;
    assert!(last.starts_with("HTTP/1.1 401"), "{last}");
    timeout(SOON, server).await.expect("it ends").unwrap().unwrap();
    assert_eq!(timeout(SOON, idle.read(&mut [0; 1])).await.expect("idle connections are closed").unwrap_or(0), 0);
    assert!(TcpStream::connect(address).await.is_err(), "nobody is let in any more");
}
