//! How a member comes in.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::StreamExt;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::{WebSocketStream, client_async};

use super::Member;
use crate::chaos::history::What;

pub(super) type Socket = WebSocketStream<TcpStream>;

/// For the TCP connection, the upgrade and `welcome`.
pub(super) const DIALING: Duration = Duration::from_secs(2);

impl Member {
    /// Connects to the next gateway and awaits `welcome`.
    pub(super) async fn dial(&mut self) -> Option<Socket> {
        let door: SocketAddr = {
            let doors = self.doors.read().expect("nobody panics with the doors");
            *doors.get(self.door % doors.len().max(1))?
        };
        let stream = TcpStream::connect(door).await.ok()?;
        stream.set_nodelay(true).ok()?;
        let mut request = format!("ws://{door}/ws").into_client_request().ok()?;
        request.headers_mut().insert("Authorization", format!("Bearer {}", self.token).parse().ok()?);
        let (mut socket, _) = client_async(request, stream).await.ok()?;
        loop {
            let Message::Text(text) = socket.next().await?.ok()? else { continue };
            let frame: Value = serde_json::from_str(&text).ok()?;
            if frame["type"] == "welcome" {
                self.failures = 0;
                self.record(What::Connected { node: frame["node"].as_str()?.into() });
                return Some(socket);
            }
        }
    }
}
