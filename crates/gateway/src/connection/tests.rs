//! The connection against real sockets.

use socket2::SockRef;
use tokio::{
    io::AsyncReadExt,
    net::{TcpListener, TcpStream},
};

use super::*;
use crate::{config::TlsConfig, tls::Tls};

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

#[tokio::test]
async fn what_a_full_socket_did_not_take_of_a_record_comes_when_it_opens() {
    // Encrypted is written, as the writer counts: without a look at what the session holds nobody would have sent it before
    // the next frame.
    let certificates = testkit::Certificates::new();
    let (certificate, key) = (certificates.file("server.pem"), certificates.file("server.key"));
    let config = TlsConfig { certificate: Some(certificate), key: Some(key) };
    let tls = Tls::new(&config, Arc::new(Metrics::new())).unwrap().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (addr, ca) = (listener.local_addr().unwrap(), certificates.file("ca.pem"));
    let accepted = async {
        let (server, _) = listener.accept().await.unwrap();
        SockRef::from(&server).set_send_buffer_size(4096).unwrap();
        tls.accept(server, Duration::from_secs(20)).await
    };
    let (server, client) = tokio::join!(accepted, testkit::shake_hands(addr, &ca, &[], &[]));
    let connection = Arc::new(Connection::new(1, server.unwrap(), 1_000_000, Arc::new(Metrics::new())));

    let mut sent = 0;
    while !connection.is_blocked() {
        connection.send(Bytes::from(vec![b'x'; 10_000]));
        sent += 10_000;
    }
    assert!(!connection.writer.lock().has_unsent(), "one record takes a frame whole");
    assert!(connection.has_unsent());
    let mut client = client.unwrap();
    let reading = tokio::spawn(async move {
        let mut all = vec![0; sent];
        client.read_exact(&mut all).await.unwrap();
        client
    });
    let written = async {
        while connection.has_unsent() {
            connection.unblock().await.unwrap();
        }
    };
    testkit::within(testkit::PATIENCE, "the rest to be written", written).await;
    let mut client = testkit::within(testkit::PATIENCE, "all of it to come", reading).await.unwrap();
    assert!(!connection.is_blocked());

    connection.end_writing();
    let mut rest = Vec::new();
    // Without a word (close_notify) this would be an error.
    testkit::within(testkit::PATIENCE, "the end", client.read_to_end(&mut rest)).await.unwrap();
    assert_eq!(rest, b"");
}
