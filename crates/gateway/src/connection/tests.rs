//! The connection against real sockets.

use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};

use super::*;

#[tokio::test]
async fn nothing_waits_for_a_socket_that_is_gone() {
    // The closing session waited, without ever yielding, until its last words were written; two clients that
    // vanished while their node drained took both threads of the node with them.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (server, _) = listener.accept().await.unwrap();
    SockRef::from(&client).set_linger(Some(Duration::ZERO)).unwrap();
    drop(client);
    let connection = Arc::new(Connection::new(1, server, 1000, Arc::new(Metrics::new())));
    connection.readable().await.unwrap();

    connection.finish(None, Bytes::from_static(b"the last words"));
    for _ in 0..100 {
        if !connection.has_unsent() {
            return;
        }
        let _ = connection.unblock().await;
    }
    panic!("the last words still wait for a socket that is gone");
}
