//! A WebSocket without a library: for frames that no decent client sends.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;

use crate::secure::{Wire, wire};
use crate::{PATIENCE, within};

/// The mask of every frame sent. A real client takes a new one for each; the server cannot tell.
const MASK: [u8; 4] = [0x1b, 0xad, 0xca, 0xfe];

/// A connection after the upgrade.
#[derive(Debug)]
pub struct RawSocket(Wire);

/// A frame as it came, unmasked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawFrame {
    /// 1 text, 2 binary, 8 close, 9 ping, 10 pong.
    pub opcode: u8,
    /// The payload.
    pub payload: Vec<u8>,
}

impl RawFrame {
    /// The code and reason of a close frame.
    pub fn close(&self) -> Option<(u16, String)> {
        if self.opcode != 8 || self.payload.len() < 2 {
            return None;
        }
        let code = u16::from_be_bytes([self.payload[0], self.payload[1]]);
        Some((code, String::from_utf8_lossy(&self.payload[2..]).into_owned()))
    }
}

impl RawSocket {
    /// Upgrades at `path` (`/ws?token=…`).
    ///
    /// # Panics
    /// When the answer is not 101.
    pub async fn open(to: SocketAddr, path: &str) -> Self {
        Self::open_from(IpAddr::V4(Ipv4Addr::UNSPECIFIED), to, path).await
    }

    /// The same from a source address of one's own, such as 127.0.0.7.
    ///
    /// # Panics
    /// When the answer is not 101.
    pub async fn open_from(source: IpAddr, to: SocketAddr, path: &str) -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind((source, 0).into()).expect("an address of this machine");
        let stream = socket.connect(to).await.expect("the gateway accepts");
        let mut stream = wire(stream, to).await.expect("a handshake");
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {to}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.expect("the request is sent");
        stream.flush().await.expect("the request is sent");
        let head = within(PATIENCE, "the answer to an upgrade", read_head(&mut stream)).await;
        assert!(head.starts_with("HTTP/1.1 101 "), "the upgrade was refused: {head}");
        // The well-known answer to the key above.
        assert!(head.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "a wrong Sec-WebSocket-Accept: {head}");
        Self(stream)
    }

    /// Sends a masked frame. `first` is its first byte: FIN (0x80), the reserved bits and the opcode.
    pub async fn send(&mut self, first: u8, payload: &[u8]) {
        let mut frame = header(first, payload.len(), 0x80);
        frame.extend(MASK);
        frame.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        self.send_bytes(&frame).await;
    }

    /// Sends a whole text message.
    pub async fn text(&mut self, text: &str) {
        self.send(0x81, text.as_bytes()).await;
    }

    /// Sends a text frame without a mask, which only servers may.
    pub async fn send_unmasked(&mut self, text: &str) {
        let mut frame = header(0x81, text.len(), 0);
        frame.extend(text.as_bytes());
        self.send_bytes(&frame).await;
    }

    /// Sends any bytes. An error is not told: the server may have closed already, and the next read says so.
    pub async fn send_bytes(&mut self, bytes: &[u8]) {
        let _ = self.try_send_bytes(bytes).await;
    }

    /// Sends any bytes; an error says that the server takes no more.
    pub async fn try_send_bytes(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        let sent = async {
            self.0.write_all(bytes).await?;
            self.0.flush().await
        };
        within(PATIENCE, "the server to read", sent).await
    }

    /// Reads a frame; `None` at the end of the stream.
    pub async fn read(&mut self) -> Option<RawFrame> {
        within(PATIENCE, "a frame", read_frame(&mut self.0)).await.ok()
    }

    /// Reads until a frame with that opcode comes.
    pub async fn read_opcode(&mut self, opcode: u8) -> RawFrame {
        loop {
            let frame =
                self.read().await.unwrap_or_else(|| panic!("the stream ended before opcode {opcode}"));
            if frame.opcode == opcode {
                return frame;
            }
            assert_ne!(frame.opcode, 8, "closed while waiting for opcode {opcode}: {:?}", frame.close());
        }
    }

    /// Reads until the close frame, which must be there before the stream ends.
    pub async fn closed(&mut self) -> (u16, String) {
        loop {
            let frame = self.read().await.expect("a close frame before the end of the stream");
            if frame.opcode == 8 {
                return frame.close().expect("a close frame with a code");
            }
        }
    }
}

/// Reads an HTTP head, byte by byte so that nothing behind it is swallowed.
async fn read_head(stream: &mut Wire) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => break,
        }
    }
    String::from_utf8_lossy(&head).into_owned()
}

async fn read_frame(stream: &mut Wire) -> std::io::Result<RawFrame> {
    let first = stream.read_u8().await?;
    let second = stream.read_u8().await?;
    assert_eq!(second & 0x80, 0, "a server must not mask");
    assert_eq!(first & 0x70, 0, "no extension was agreed on");
    let length = match second {
        126 => u64::from(stream.read_u16().await?),
        127 => stream.read_u64().await?,
        short => u64::from(short),
    };
    let mut payload = vec![0; usize::try_from(length).expect("a frame fits in memory")];
    stream.read_exact(&mut payload).await?;
    Ok(RawFrame { opcode: first & 0x0f, payload })
}

fn header(first: u8, length: usize, mask_bit: u8) -> Vec<u8> {
    let mut header = vec![first];
    if length < 126 {
        header.push(mask_bit + length as u8);
    } else if let Ok(length) = u16::try_from(length) {
        header.push(mask_bit + 126);
        header.extend(length.to_be_bytes());
    } else {
        header.push(mask_bit + 127);
        header.extend((length as u64).to_be_bytes());
    }
    header
}
