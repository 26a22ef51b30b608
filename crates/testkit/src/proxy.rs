//! A TCP proxy that plays a bad network.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// What the proxy's own sockets hold at most, in bytes: a throttled stream must be felt at its source.
/// Room for a few of the loopback's segments (64 KiB each), so that a path that is to pass is not itself slow.
const BUFFER: u32 = 256 * 1024;

/// What is passed on at once.
const CHUNK: usize = 32 * 1024;

/// What becomes of the bytes that go one way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fate {
    /// They go on.
    #[default]
    Pass,
    /// They wait, as with a path that is broken one way: what was sent arrives when it heals.
    Stall,
    /// They vanish. The stream is broken then: it must be [cut](Proxy::cut) before it passes again.
    Swallow,
    /// They go on so much later.
    Delay(Duration),
    /// So many of them go on in a second.
    Throttle(u32),
}

#[derive(Clone, Copy, Debug, Default)]
struct Rules {
    up: Fate,
    down: Fate,
    refusing: bool,
    /// How often everything was cut.
    cuts: u64,
}

/// A listener that passes everything on to one address, until it is told to do worse. It ends when it is dropped.
#[derive(Debug)]
pub struct Proxy {
    addr: SocketAddr,
    rules: watch::Sender<Rules>,
    harm: Arc<AtomicU64>,
    task: JoinHandle<()>,
}

impl Proxy {
    /// Listens on a free loopback port, for connections to `to`.
    pub async fn start(to: SocketAddr) -> Self {
        Self::start_at(SocketAddr::from(([127, 0, 0, 1], crate::free_port())), to, Vec::new()).await
    }

    /// Like [`Proxy::start`], but each connection comes from another network than the one before, as clients do: nginx'
    /// `ip_hash` takes all of one network to the same gateway.
    pub async fn from_everywhere(to: SocketAddr) -> Self {
        let at = SocketAddr::from(([127, 0, 0, 1], crate::free_port()));
        Self::run(at, Server { addr: to, names: Vec::new(), networks: Some(AtomicU8::new(0)) }).await
    }

    /// Listens at an address, for connections to `to`. In what the server says, each first name is replaced by the
    /// second, which is as long.
    pub async fn start_at(at: SocketAddr, to: SocketAddr, names: Vec<(String, String)>) -> Self {
        Self::run(at, Server { addr: to, names, networks: None }).await
    }

    async fn run(at: SocketAddr, server: Server) -> Self {
        let listener = TcpListener::bind(at).await.unwrap_or_else(|error| panic!("{at}: {error}"));
        let addr = listener.local_addr().expect("a listener has an address");
        // What is spoken through it is not its own.
        crate::secure::set_as(addr, server.addr);
        let rules = watch::Sender::new(Rules::default());
        let harm = Arc::new(AtomicU64::new(0));
        let task = tokio::spawn(accept(listener, Arc::new(server), rules.subscribe(), Arc::clone(&harm)));
        Self { addr, rules, harm, task }
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// How much harm it has done until now: pieces of traffic that did not just pass, and connections that were cut or
    /// refused.
    pub fn harm(&self) -> u64 {
        self.harm.load(Ordering::Relaxed)
    }

    /// Says what becomes of bytes to the server, and of those from it, from now on.
    pub fn treat(&self, up: Fate, down: Fate) {
        self.rules.send_modify(|rules| (rules.up, rules.down) = (up, down));
    }

    /// Cuts every connection.
    pub fn cut(&self) {
        self.rules.send_modify(|rules| rules.cuts += 1);
    }

    /// Cuts every connection and lets no other one live, or lets them again.
    pub fn refuse(&self, refusing: bool) {
        self.refuser()(refusing);
    }

    /// [`Proxy::refuse`], for one who does not hold the proxy.
    pub fn refuser(&self) -> impl Fn(bool) + Send + use<> {
        let rules = self.rules.clone();
        move |refusing| {
            rules.send_modify(|rules| {
                rules.refusing = refusing;
                rules.cuts += u64::from(refusing);
            });
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.cut();
        self.task.abort();
    }
}

/// What is behind the proxy.
struct Server {
    addr: SocketAddr,
    /// Names in its answers, and what is put in their place.
    names: Vec<(String, String)>,
    /// How many networks connections came from, if each has its own.
    networks: Option<AtomicU8>,
}

impl Server {
    async fn connect(&self) -> std::io::Result<TcpStream> {
        let socket = TcpSocket::new_v4()?;
        socket.set_recv_buffer_size(BUFFER)?;
        if let Some(networks) = &self.networks {
            let network = Ipv4Addr::new(127, 0, networks.fetch_add(1, Ordering::Relaxed), 1);
            socket.bind(SocketAddr::from((network, 0)))?;
        }
        socket.connect(self.addr).await
    }

    /// Replaces the names, in place. One that is cut in two by the end of a read is not seen; short answers are not.
    fn translate(&self, bytes: &mut [u8]) {
        for (from, to) in &self.names {
            assert_eq!(from.len(), to.len(), "lengths stand in front of what is sent");
            let mut at = 0;
            while let Some(found) = bytes[at..].windows(from.len()).position(|part| part == from.as_bytes()) {
                at += found;
                bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
                at += to.len();
            }
        }
    }
}

async fn accept(listener: TcpListener, to: Arc<Server>, rules: watch::Receiver<Rules>, harm: Arc<AtomicU64>) {
    loop {
        let Ok((client, _)) = listener.accept().await else { continue };
        let rules = rules.clone();
        let now = *rules.borrow();
        if now.refusing {
            harm.fetch_add(1, Ordering::Relaxed);
        } else {
            let (to, harm) = (Arc::clone(&to), Arc::clone(&harm));
            tokio::spawn(async move {
                let mut cut = rules.clone();
                tokio::select! {
                    _ = cut.wait_for(|rules| rules.cuts != now.cuts) => {
                        harm.fetch_add(1, Ordering::Relaxed);
                    }
                    _ = serve(client, &to, rules, &harm) => {}
                }
            });
        }
    }
}

async fn serve(
    client: TcpStream,
    to: &Server,
    rules: watch::Receiver<Rules>,
    harm: &AtomicU64,
) -> std::io::Result<()> {
    let count = |fate: Fate| {
        harm.fetch_add(u64::from(fate != Fate::Pass), Ordering::Relaxed);
        fate
    };
    let server = to.connect().await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
    tokio::select! {
        ended = pump(from_client, to_server, rules.clone(), |rules| count(rules.up), |_| {}) => ended,
        ended = pump(from_server, to_client, rules, |rules| count(rules.down), |bytes| to.translate(bytes)) => ended,
    }
}

async fn pump(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut rules: watch::Receiver<Rules>,
    fate: impl Fn(&Rules) -> Fate,
    translate: impl Fn(&mut [u8]),
) -> std::io::Result<()> {
    let mut buffer = vec![0; CHUNK];
    loop {
        let read = from.read(&mut buffer).await?;
        if read == 0 {
            return Ok(());
        }
        translate(&mut buffer[..read]);
        let mut rest = &buffer[..read];
        while !rest.is_empty() {
            let now = fate(&rules.borrow_and_update());
            match now {
                Fate::Pass => {
                    to.write_all(rest).await?;
                    rest = &[];
                }
                Fate::Stall => {
                    // It fails only when the proxy is gone.
                    let _ = rules.changed().await;
                }
                Fate::Swallow => rest = &[],
                Fate::Delay(time) => {
                    tokio::time::sleep(time).await;
                    to.write_all(rest).await?;
                    rest = &[];
                }
                Fate::Throttle(bytes) => {
                    // A tenth of a second's share at a time.
                    let (share, later) = rest.split_at(rest.len().min(bytes as usize / 10 + 1));
                    to.write_all(share).await?;
                    rest = later;
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }
}
