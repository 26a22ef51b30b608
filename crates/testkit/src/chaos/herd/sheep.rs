//! One of the herd: as little as a client can be that resumes as PROTOCOL says.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::{Field, Kind, Order};

/// For the TCP connection, the upgrade and the answer to the join; a flood takes its time.
const DIALING: Duration = Duration::from_secs(10);
/// What is read at once; ten thousand of these are held.
const BUFFER: usize = 2048;
/// No frame that it can be sent is longer.
const LONGEST: u64 = 64 * 1024;

type Socket = BufReader<TcpStream>;

/// Where it stands.
struct Stand {
    epoch: String,
    seq: u64,
}

/// Comes and goes as it is told, until the end.
pub(super) async fn live(field: Arc<Field>, number: usize, mut orders: watch::Receiver<Order>) {
    let mut stand: Option<Stand> = None;
    let mut failures = 0;
    loop {
        let mut told = None;
        let order = orders.wait_for(|order| *order != Order::Go).await.map_or(Order::End, |order| *order);
        if order == Order::End {
            return;
        }
        let came = {
            let _permit = field.gate.acquire().await;
            timeout(DIALING, come(&field, number, &mut stand, &mut told)).await.ok().flatten()
        };
        if let Some(mut socket) = came {
            failures = 0;
            field.marks[number].joined.store(true, Ordering::Relaxed);
            tokio::select! {
                _ = orders.wait_for(|order| *order != Order::Come) => {}
                () = listen(&field, number, &mut socket, &mut stand) => {}
            }
            field.marks[number].joined.store(false, Ordering::Relaxed);
            if *orders.borrow() == Order::Come {
                // The node ended it. Not all of those whom it had to close may come back in the same moment.
                field.closed.fetch_add(1, Ordering::Relaxed);
                sleep(Duration::from_millis(100 + (number as u64 * 7919) % 900)).await;
            }
        } else {
            field.failed.fetch_add(1, Ordering::Relaxed);
            failures += 1;
            // As long as it was told to wait, or longer each time, and not all at the same time.
            let most = 100 << failures.min(4);
            let by_itself = Duration::from_millis(most / 2 + (number as u64 * 7919) % (most / 2));
            sleep(told.map_or(by_itself, Duration::from_millis)).await;
        }
    }
}

/// Connects, and joins its room from where it stands; if it may not, it may have been told for how long, in milliseconds.
async fn come(
    field: &Field,
    number: usize,
    stand: &mut Option<Stand>,
    told: &mut Option<u64>,
) -> Option<Socket> {
    let door = field.doors[number % field.doors.len()];
    let stream = TcpStream::connect(door).await.ok()?;
    stream.set_nodelay(true).ok()?;
    // It is cut and not closed: no port is kept waiting for what may still arrive.
    stream.set_zero_linger().ok()?;
    let mut socket = BufReader::with_capacity(BUFFER, stream);
    let request = format!(
        "GET /ws HTTP/1.1\r\nHost: {door}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         Authorization: Bearer {}\r\n\r\n",
        field.token
    );
    socket.write_all(request.as_bytes()).await.ok()?;
    upgraded(&mut socket).await?;
    let mut join = json!({ "type": "join", "room": field.rooms[number % field.rooms.len()], "ref": 1 });
    if let Some(Stand { epoch, seq }) = stand {
        join["since"] = json!({ "epoch": epoch, "seq": seq });
    }
    send(&mut socket, 1, join.to_string().as_bytes()).await?;
    loop {
        let frame = next(&mut socket).await?;
        match frame["type"].as_str()? {
            "ok" => {
                if stand.is_some() && frame["recovered"] != true {
                    field.complain(Kind::NeedlessReset, number, format!("not recovered: {frame}"));
                }
                let seq = frame["seq"].as_u64()?;
                if stand.as_ref().is_some_and(|stand| stand.seq != seq) {
                    field.complain(Kind::Lost, number, format!("stood elsewhere than {frame}"));
                }
                *stand = Some(Stand { epoch: frame["epoch"].as_str()?.to_owned(), seq });
                field.marks[number].seq.store(seq, Ordering::Relaxed);
                return Some(socket);
            }
            // Not now: come again.
            "closing" | "error" => {
                *told = frame["retry_after_ms"].as_u64();
                return None;
            }
            _ => {}
        }
    }
}

/// Moves its position with each event, which must be the next one, until the connection ends.
async fn listen(field: &Field, number: usize, socket: &mut Socket, stand: &mut Option<Stand>) {
    let Some(stand) = stand else { return };
    while let Some(frame) = next(socket).await {
        let seq = frame["seq"].as_u64().unwrap_or(0);
        match frame["type"].as_str() {
            Some("message") => {
                if seq > stand.seq + 1 {
                    field.complain(Kind::Lost, number, format!("{seq} came after {}", stand.seq));
                }
                if seq <= stand.seq {
                    field.complain(Kind::Duplicate, number, format!("{seq} came after {}", stand.seq));
                }
                if let Some(epoch) = frame["epoch"].as_str().filter(|epoch| **epoch != *stand.epoch) {
                    epoch.clone_into(&mut stand.epoch);
                }
                stand.seq = seq;
                field.marks[number].seq.store(seq, Ordering::Relaxed);
            }
            Some("reset") => field.complain(Kind::NeedlessReset, number, frame.to_string()),
            _ => {}
        }
    }
}

/// Reads the answer to the upgrade; nothing if it was refused.
async fn upgraded(socket: &mut Socket) -> Option<()> {
    let mut head = Vec::with_capacity(256);
    while !head.ends_with(b"\r\n\r\n") {
        head.push(socket.read_u8().await.ok()?);
    }
    head.starts_with(b"HTTP/1.1 101 ").then_some(())
}

/// The next text, as JSON; pings are answered. Nothing when the connection ends.
async fn next(socket: &mut Socket) -> Option<Value> {
    loop {
        let opcode = socket.read_u8().await.ok()? & 0x0f;
        let length = match socket.read_u8().await.ok()? {
            126 => u64::from(socket.read_u16().await.ok()?),
            127 => socket.read_u64().await.ok()?,
            short => u64::from(short),
        };
        let mut payload = vec![0; usize::try_from(length.min(LONGEST)).ok()?];
        socket.read_exact(&mut payload).await.ok()?;
        match opcode {
            1 => return serde_json::from_slice(&payload).ok(),
            8 => return None,
            9 => send(socket, 10, &payload).await?,
            _ => {}
        }
    }
}

/// Sends a frame, whose mask is of zeros: nobody between is to be deceived here.
async fn send(socket: &mut Socket, opcode: u8, payload: &[u8]) -> Option<()> {
    let mut frame = vec![0x80 | opcode];
    match u8::try_from(payload.len()) {
        Ok(short) if short < 126 => frame.push(0x80 | short),
        _ => {
            frame.push(0x80 + 126);
            frame.extend(u16::try_from(payload.len()).ok()?.to_be_bytes());
        }
    }
    frame.extend([0; 4]);
    frame.extend(payload);
    socket.write_all(&frame).await.ok()
}
