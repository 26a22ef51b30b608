//! Opening a connection, well or badly.

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpSocket;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::{HeaderName, HeaderValue};
use tokio_tungstenite::tungstenite::{Error, http};
use tokio_tungstenite::{WebSocketStream, client_async};

use super::{Client, Close};
use crate::secure::{Wire, wire};
use crate::{PATIENCE, within};

/// A connection to be opened.
#[derive(Debug, Clone)]
pub struct Dial {
    to: SocketAddr,
    path: String,
    source: Option<IpAddr>,
    headers: Vec<(String, String)>,
    receive_buffer: Option<u32>,
    preface: String,
    name: String,
}

/// An upgrade that was refused over HTTP.
#[derive(Debug, Clone)]
pub struct Refusal {
    /// The status; 0 when the connection failed without one.
    pub status: u16,
    /// The body, or what went wrong.
    pub text: String,
}

impl Dial {
    /// To `/ws` there, without any credential.
    pub fn to(to: SocketAddr) -> Self {
        Self {
            to,
            path: "/ws".to_owned(),
            source: None,
            headers: Vec::new(),
            receive_buffer: None,
            preface: String::new(),
            name: "client".to_owned(),
        }
    }

    /// Another path and query.
    #[must_use]
    pub fn path(mut self, path: impl Into<String>) -> Self {
        self.path = path.into();
        self
    }

    /// From a source address of one's own, such as 127.0.0.7.
    #[must_use]
    pub fn from(mut self, source: impl Into<IpAddr>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// With a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// With `Authorization: Bearer`.
    #[must_use]
    pub fn bearer(self, token: &str) -> Self {
        self.header("Authorization", format!("Bearer {token}"))
    }

    /// Offering these subprotocols.
    #[must_use]
    pub fn protocols(self, protocols: &str) -> Self {
        self.header("Sec-WebSocket-Protocol", protocols)
    }

    /// With a small receive buffer (bytes), so that a reader that stalls is felt soon.
    #[must_use]
    pub fn receive_buffer(mut self, bytes: u32) -> Self {
        self.receive_buffer = Some(bytes);
        self
    }

    /// Saying this before anything else, as a balancer that speaks the PROXY protocol does.
    #[must_use]
    pub fn preface(mut self, text: impl Into<String>) -> Self {
        self.preface = text.into();
        self
    }

    /// Names the client in the messages of failures.
    #[must_use]
    pub fn named(mut self, name: &str) -> Self {
        name.clone_into(&mut self.name);
        self
    }

    /// Upgrades.
    ///
    /// # Errors
    /// When it is refused before the upgrade.
    pub async fn open(self) -> Result<Client, Refusal> {
        let what = format!("{}: an upgrade at {}", self.name, self.to);
        let (socket, protocol) = within(PATIENCE, &what, self.upgrade()).await?;
        Ok(Client {
            socket,
            name: self.name,
            welcome: Value::Null,
            protocol,
            inbox: VecDeque::new(),
            recent: VecDeque::new(),
            last_text: String::new(),
            next_ref: 0,
            silent: BTreeMap::new(),
            rooms: BTreeMap::new(),
            present: BTreeMap::new(),
            closed: None,
        })
    }

    /// Upgrades and awaits `welcome`.
    ///
    /// # Panics
    /// When it is refused.
    pub async fn welcomed(self) -> Client {
        let name = self.name.clone();
        let mut client = self.open().await.unwrap_or_else(|refusal| panic!("{name}: refused: {refusal:?}"));
        client.welcome = client.expect("welcome").await;
        client
    }

    /// Upgrades and awaits that the server closes, as it does to a bad credential.
    ///
    /// # Panics
    /// When it is refused over HTTP, or not closed.
    pub async fn closed(self) -> Close {
        let name = self.name.clone();
        let mut client = self.open().await.unwrap_or_else(|refusal| panic!("{name}: refused: {refusal:?}"));
        let close = client.closed().await;
        assert!(!client.has("welcome"), "{name}: welcomed before {close:?}");
        close
    }

    /// Upgrades without a credential, sends the token as the first frame and awaits `welcome`.
    pub async fn authenticated(self, token: &str) -> Client {
        let name = self.name.clone();
        let mut client = self.open().await.unwrap_or_else(|refusal| panic!("{name}: refused: {refusal:?}"));
        client.send(&json!({ "type": "auth", "token": token })).await;
        client.welcome = client.expect("welcome").await;
        client
    }

    /// The status of an upgrade that must be refused over HTTP.
    ///
    /// # Panics
    /// When it is not refused.
    pub async fn refused(self) -> Refusal {
        match self.open().await {
            Err(refusal) => refusal,
            Ok(client) => panic!("{}: upgraded, but should have been refused", client.name()),
        }
    }

    /// The socket, and the subprotocol that was selected.
    async fn upgrade(&self) -> Result<(WebSocketStream<Wire>, Option<String>), Refusal> {
        let failed = |error: &dyn std::fmt::Display| Refusal { status: 0, text: error.to_string() };
        let socket = TcpSocket::new_v4().map_err(|error| failed(&error))?;
        if let Some(source) = self.source {
            socket.bind(SocketAddr::new(source, 0)).map_err(|error| failed(&error))?;
        }
        if let Some(bytes) = self.receive_buffer {
            socket.set_recv_buffer_size(bytes).map_err(|error| failed(&error))?;
        }
        let mut stream = socket.connect(self.to).await.map_err(|error| failed(&error))?;
        stream.write_all(self.preface.as_bytes()).await.map_err(|error| failed(&error))?;
        stream.set_nodelay(true).map_err(|error| failed(&error))?;
        let stream = wire(stream, self.to).await.map_err(|error| failed(&error))?;
        let url = format!("ws://{}{}", self.to, self.path);
        let mut request = url.into_client_request().expect("the path is one of a test");
        for (name, value) in &self.headers {
            let name: HeaderName = name.parse().expect("a header's name");
            request.headers_mut().append(name, HeaderValue::from_str(value).expect("a header's value"));
        }
        match client_async(request, stream).await {
            Ok((socket, response)) => {
                let protocol = response.headers().get("sec-websocket-protocol");
                Ok((socket, protocol.map(|name| String::from_utf8_lossy(name.as_bytes()).into_owned())))
            }
            Err(Error::Http(response)) => Err(Refusal::of(&response)),
            Err(error) => Err(failed(&error)),
        }
    }
}

impl Refusal {
    fn of(response: &http::Response<Option<Vec<u8>>>) -> Self {
        let body = response.body().as_deref().unwrap_or_default();
        Self { status: response.status().as_u16(), text: String::from_utf8_lossy(body).into_owned() }
    }
}
