//! How long a socket may be silent.

use testkit::{NginxOptions, RawSocket, token};

use crate::fixture::options;

/// Calls that take long are cut; a heartbeat that takes as long to come is not.
#[tokio::test]
async fn a_socket_outlives_the_patience_for_calls() {
    let config = "[heartbeat]\ninterval_ms = 2500\n[diagnostics]\necho = true\n";
    let gateway = options().config(config).start().await;
    let choices = NginxOptions::shipped().replace("proxy_read_timeout 30s;", "proxy_read_timeout 1s;");
    let nginx = choices.start([gateway.addr(); 3]).await;
    let silent = async |path: &str| {
        let mut socket = RawSocket::open(nginx.addr(), path).await;
        socket.read_opcode(9).await;
    };
    let path = format!("/ws?token={}", token("alice"));
    tokio::join!(silent(&path), silent("/echo"));
}
