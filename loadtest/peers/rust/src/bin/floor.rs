//! The floor: what the kernel itself costs. One thread, a loop, one `send` per member and message, and nothing else:
//! no rights, no heartbeats, no log. `PORT` says where. Who cannot take a frame at once is cut: no server may do that,
//! but the cost of those who can is what is asked.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use sha1::{Digest as _, Sha1};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

thread_local! {
    /// What is read goes through here: an idle connection holds nothing.
    static CHUNK: RefCell<Vec<u8>> = RefCell::new(vec![0; 65_536]);
}

/// Members of each room.
type Rooms = Rc<RefCell<HashMap<String, Vec<Rc<TcpStream>>>>>;

#[derive(Deserialize)]
struct Message<'a> {
    r#type: &'a str,
    room: &'a str,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    tokio::task::LocalSet::new().block_on(&runtime, serve())
}

async fn serve() -> Result<(), Box<dyn std::error::Error>> {
    let port: u16 = std::env::var("PORT")?.parse()?;
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    println!("ready");
    let rooms = Rooms::default();
    loop {
        let (socket, _) = listener.accept().await?;
        socket.set_nodelay(true)?;
        let rooms = Rc::clone(&rooms);
        tokio::task::spawn_local(async move { member(socket, rooms).await });
    }
}

/// A connection, until it ends or breaks.
async fn member(mut socket: TcpStream, rooms: Rooms) -> Option<()> {
    upgrade(&mut socket).await?;
    let socket = Rc::new(socket);
    put(&socket, br#"{"type":"welcome"}"#)?;
    let mut bytes = Vec::new();
    let done = loop {
        if socket.readable().await.is_err() {
            break None;
        }
        let read = CHUNK.with_borrow_mut(|chunk| {
            let read = socket.try_read(chunk);
            read.inspect(|count| bytes.extend_from_slice(&chunk[..*count]))
        });
        match read {
            Ok(0) => break None,
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => continue,
            Err(_) => break None,
        }
        let mut taken = 0;
        while let Some((payload, length)) = unmask(&mut bytes[taken..]) {
            handle(payload, &socket, &rooms);
            taken += length;
        }
        bytes.drain(..taken);
    };
    for members in rooms.borrow_mut().values_mut() {
        members.retain(|member| !Rc::ptr_eq(member, &socket));
    }
    done
}

fn handle(payload: &[u8], socket: &Rc<TcpStream>, rooms: &Rooms) {
    let Ok(message) = serde_json::from_slice::<Message<'_>>(payload) else { return };
    if message.r#type == "join" {
        rooms.borrow_mut().entry(message.room.to_owned()).or_default().push(Rc::clone(socket));
        put(socket, br#"{"type":"joined"}"#);
    } else if let Some(members) = rooms.borrow().get(message.room) {
        let frame = frame(payload);
        for member in members {
            // Not written, or half: its reader sees a gap or a broken frame, and the run says so.
            let _ = member.try_write(&frame);
        }
    }
}

async fn upgrade(socket: &mut TcpStream) -> Option<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if socket.read_buf(&mut head).await.ok()? == 0 {
            return None;
        }
    }
    let head = String::from_utf8(head).ok()?;
    let key = head.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: "))?;
    let accept = Sha1::new().chain_update(key).chain_update("258EAFA5-E914-47DA-95CA-C5AB0DC85B11").finalize();
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: {}\r\n\r\n",
        STANDARD.encode(accept)
    );
    socket.write_all(answer.as_bytes()).await.ok()
}

/// The first frame's payload, and the frame's length, if it is whole. The frames of the load generator only.
fn unmask(bytes: &mut [u8]) -> Option<(&[u8], usize)> {
    let (head, length) = match *bytes.get(1)? & 0x7f {
        126 => (4, usize::from(u16::from_be_bytes([*bytes.get(2)?, *bytes.get(3)?]))),
        127 => return None,
        length => (2, usize::from(length)),
    };
    let end = head + 4 + length;
    let frame = bytes.get_mut(..end)?;
    let (head, payload) = frame.split_at_mut(head + 4);
    let mask = *head.last_chunk::<4>()?;
    payload.iter_mut().zip(mask.iter().cycle()).for_each(|(byte, mask)| *byte ^= mask);
    Some((payload, end))
}

fn frame(payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x81];
    if payload.len() < 126 {
        frame.push(payload.len() as u8);
    } else {
        frame.push(126);
        frame.extend((payload.len() as u16).to_be_bytes());
    }
    frame.extend(payload);
    frame
}

fn put(socket: &TcpStream, payload: &[u8]) -> Option<()> {
    socket.try_write(&frame(payload)).ok().map(|_| ())
}
