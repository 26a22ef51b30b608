//! From the log to the sockets of a room's members.

use std::{
    io::{self, Read},
    net::{TcpListener, TcpStream},
    sync::Arc,
    time::Duration,
};

use bus::{Bus, ReadFrom};
use gateway::{
    config::{Config, LimitsConfig},
    connection::Connection,
    relay::frame_of,
    room::Shared,
    rooms::Rooms,
};
use tokio::{runtime::Builder, sync::Notify};

use crate::{
    append::log,
    counters::counters,
    sample::{self, Appends},
};

/// The members of the room.
const MEMBERS: u64 = 1000;

/// An event into the log, and from there to all members, before the next one comes. Nobody reads meanwhile: what comes
/// must fit into the sockets, some hundreds of messages.
pub(crate) fn fan_out(times: u64) -> Result<(), String> {
    // A runtime parks when nothing is left to be done, and so when everybody has been written to.
    let quiet = Arc::new(Notify::new());
    let parks = Arc::clone(&quiet);
    let mut builder = Builder::new_current_thread();
    builder.enable_all().on_thread_park(move || parks.notify_one());
    let runtime = builder.build().map_err(|error| error.to_string())?;
    runtime.block_on(deliver(times, &quiet))
}

async fn deliver(times: u64, quiet: &Notify) -> Result<(), String> {
    let metrics = counters();
    let bus: Arc<dyn Bus> = Arc::new(log());
    // A room is followed once, and nobody comes back to it.
    let mut config = Config::default();
    config.rooms.linger_ms = 0;
    let shared = Shared::new(Arc::new(config.into()), Arc::default(), Arc::clone(&metrics));
    let rooms = Rooms::new(Arc::clone(&bus), Arc::new(shared));
    let name = sample::room()?;
    let outbox_bytes = LimitsConfig::default().outbox_bytes;
    let listener = TcpListener::bind("127.0.0.1:0").map_err(|error| error.to_string())?;
    let mut members = Vec::new();
    let mut clients = Vec::new();
    for id in 0..MEMBERS {
        let (io, client) = pair(&listener).await.map_err(|error| format!("sockets: {error}"))?;
        let member = Arc::new(Connection::new(id, io, outbox_bytes, Arc::clone(&metrics)));
        let claim = rooms.enter(&name).await.map_err(|error| error.to_string())?;
        let head = bus.head(&name).await.map_err(|error| error.to_string())?;
        member.join(claim, head, None);
        members.push(member);
        clients.push(client);
    }

    let mut appends = Appends::new()?;
    // The set-up has been quiet at times.
    quiet.notified().await;
    for _ in 0..times {
        // Its answer is there at once; the deliveries are what is waited for.
        drop(bus.append(&name, appends.next()));
        quiet.notified().await;
    }

    let page = bus.read(&name, ReadFrom::AfterSeq(0), 1000).await.map_err(|error| error.to_string())?;
    let expected: Vec<u8> = page.events.iter().flat_map(|event| frame_of(event).bytes).collect();
    if page.events.len() as u64 != times {
        return Err(format!("the log has {} events of {times}", page.events.len()));
    }
    // One for all: to make one for each was a third of what was counted.
    let mut got = vec![0; expected.len()];
    clients.iter_mut().try_for_each(|client| check(client, &expected, &mut got))
}

/// A member's socket, which is known to be writable, and its client's.
async fn pair(listener: &TcpListener) -> io::Result<(tokio::net::TcpStream, TcpStream)> {
    let client = TcpStream::connect(listener.local_addr()?)?;
    let (member, _) = listener.accept()?;
    member.set_nodelay(true)?;
    member.set_nonblocking(true)?;
    let member = tokio::net::TcpStream::from_std(member)?;
    member.writable().await?;
    Ok((member, client))
}

/// Whether a client got all that was said, so that what was counted is what was meant.
fn check(client: &mut TcpStream, expected: &[u8], got: &mut [u8]) -> Result<(), String> {
    let read = client.set_read_timeout(Some(Duration::from_secs(10))).and_then(|()| client.read_exact(got));
    read.map_err(|error| format!("a client did not get everything: {error}"))?;
    if got == expected { Ok(()) } else { Err("a client got something else".to_owned()) }
}
