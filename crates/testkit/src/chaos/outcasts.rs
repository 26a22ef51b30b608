//! Two clients that will not have it: one that is banned and comes again and again, by every door; and one that is muted and
//! talks on. And the moderator, who is a server of the site's.

use std::net::SocketAddr;
use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::{WebSocketStream, client_async};

use super::arena::API_KEY;
use super::banished::{self, EFFECTIVE_MS, Stay};
use super::checker::Violation;
use super::crowd::{Clock, Doors, ROOMS, room};
use crate::{Request, within};

/// Who is to be banned.
pub const BANNED: &str = "outcast";
/// Who is to be muted.
const MUTED: &str = "muted";
/// Where the muted one talks: the crowd must not hear what it says while it may.
const CORNER: &str = "corner";
/// For a connection, a welcome, an answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long the banned one stays with a node that let it in, unless it is thrown out.
const STAY: Duration = Duration::from_secs(3);
/// Between two things that the muted one says, two attempts to come in, and two calls of the moderator's.
const PAUSE: Duration = Duration::from_millis(200);
/// What the muted one says to a node before it goes to the next.
const SAID: usize = 4;

type Socket = WebSocketStream<TcpStream>;

/// Both, and what became of them.
#[derive(Debug)]
pub struct Outcasts {
    doors: Doors,
    clock: Clock,
    stays: Arc<Mutex<Vec<Stay>>>,
    tasks: [JoinHandle<()>; 2],
    /// The moderator at work.
    banishing: Option<JoinHandle<()>>,
    is_banished: bool,
    /// When they could not be kept out.
    excused: Vec<Range<u64>>,
}

impl Outcasts {
    /// They come in, and are as good as anybody until [`Outcasts::banish`].
    pub fn start(doors: &Doors, clock: Clock) -> Self {
        let stays = Arc::default();
        let one = |user: &str| One {
            user: user.into(),
            token: crate::token(user),
            doors: Arc::clone(doors),
            clock,
            stays: Arc::clone(&stays),
        };
        let (banned, muted) = (one(BANNED), one(MUTED));
        let tasks = [tokio::spawn(banned.intrude()), tokio::spawn(muted.talk())];
        let (doors, excused) = (Arc::clone(doors), Vec::new());
        Self { doors, clock, stays, tasks, banishing: None, is_banished: false, excused }
    }

    /// Has the one banned and the other muted, whatever fails meanwhile.
    pub fn banish(&mut self) {
        let doors = Arc::clone(&self.doors);
        self.banishing = Some(tokio::spawn(async move {
            let body = json!({ "duration_ms": 3_600_000, "reason": "chaos" });
            for path in [format!("/v1/users/{BANNED}/ban"), format!("/v1/rooms/{CORNER}/mutes/{MUTED}")] {
                let request = Request::new("PUT", path).bearer(API_KEY).json(&body);
                let mut turn = 0;
                loop {
                    let done = match door(&doors, turn) {
                        Some(door) => timeout(PATIENCE, request.clone().try_send(door)).await,
                        None => continue,
                    };
                    if done.is_ok_and(|answer| answer.is_ok_and(|answer| answer.status == 200)) {
                        break;
                    }
                    turn += 1;
                    sleep(PAUSE).await;
                }
            }
        }));
    }

    /// Whether they are banished, or about to be.
    pub fn are_banished(&self) -> bool {
        self.is_banished || self.banishing.is_some()
    }

    /// After a fault that began at `from`: waits until they are banished, if they are to be, and has them banished again if
    /// that was `lost`. While it was, or nodes could not hear of it, nobody is to blame.
    ///
    /// # Panics
    /// When the moderator has no success in time.
    pub async fn hold(&mut self, from: u64, lost: bool, unheard: bool) {
        let first = !self.is_banished;
        self.banished().await;
        if lost && self.is_banished {
            self.banish();
            self.banished().await;
        }
        if self.is_banished && (first || lost || unheard) {
            let from = if first { 0 } else { from };
            self.excused.push(from..self.clock.now() + EFFECTIVE_MS);
        }
    }

    async fn banished(&mut self) {
        if let Some(banishing) = self.banishing.take() {
            within(crate::PATIENCE, "a ban and a mute", banishing).await.expect("it does not panic");
            self.is_banished = true;
        }
    }

    /// Whether they have been where they ought not to.
    pub fn judge(self) -> Vec<Violation> {
        self.tasks.iter().for_each(JoinHandle::abort);
        let stays = self.stays.lock().expect("nobody panics with the stays");
        if self.is_banished { banished::check(&stays, &self.excused) } else { Vec::new() }
    }
}

struct One {
    user: Arc<str>,
    token: String,
    doors: Doors,
    clock: Clock,
    stays: Arc<Mutex<Vec<Stay>>>,
}

impl One {
    /// Comes in by every door in turn and stays as long as it may.
    async fn intrude(self) {
        for turn in 0.. {
            if let Some((mut socket, node)) = self.open(turn).await {
                let index = self.note(&node, self.clock.now()..u64::MAX);
                for number in 0..ROOMS {
                    send(&mut socket, &json!({ "type": "join", "room": *room(number) })).await;
                }
                let until = Instant::now() + STAY;
                while let Ok(Some(Ok(message))) = timeout_at(until, socket.next()).await {
                    if message.is_close() {
                        break;
                    }
                }
                self.stays.lock().expect("nobody panics with the stays")[index].times.end = self.clock.now();
            }
            sleep(PAUSE).await;
        }
    }

    /// Says something now and then, to every node in turn.
    async fn talk(self) {
        for turn in 0.. {
            if let Some((mut socket, node)) = self.open(turn).await {
                let join = json!({ "type": "join", "room": CORNER, "ref": "join" });
                send(&mut socket, &join).await;
                for number in 0..SAID {
                    sleep(PAUSE).await;
                    let at = self.clock.now();
                    let say = json!({ "type": "message", "room": CORNER, "ref": number, "data": "heard" });
                    send(&mut socket, &say).await;
                    let Some(answer) = answer(&mut socket, number).await else { break };
                    if answer["type"] == "ok" {
                        // When it was sent it was allowed to, or not.
                        self.note(&node, at..at + 1);
                    }
                }
            }
            sleep(PAUSE).await;
        }
    }

    fn note(&self, node: &Arc<str>, times: Range<u64>) -> usize {
        let mut stays = self.stays.lock().expect("nobody panics with the stays");
        stays.push(Stay { user: Arc::clone(&self.user), node: Arc::clone(node), times });
        stays.len() - 1
    }

    /// A connection that was welcomed, and by which node.
    async fn open(&self, turn: usize) -> Option<(Socket, Arc<str>)> {
        let door = door(&self.doors, turn)?;
        let open = async {
            let stream = TcpStream::connect(door).await.ok()?;
            let mut request = format!("ws://{door}/ws").into_client_request().ok()?;
            request.headers_mut().insert("Authorization", format!("Bearer {}", self.token).parse().ok()?);
            let (mut socket, _) = client_async(request, stream).await.ok()?;
            let welcome = next(&mut socket).await.filter(|frame| frame["type"] == "welcome")?;
            Some((socket, welcome["node"].as_str()?.into()))
        };
        timeout(PATIENCE, open).await.ok()?
    }
}

/// One of the doors after the other.
fn door(doors: &Doors, turn: usize) -> Option<SocketAddr> {
    let doors = doors.read().expect("nobody panics with the doors");
    doors.get(turn % doors.len().max(1)).copied()
}

async fn send(socket: &mut Socket, frame: &Value) {
    // What was not sent is not answered.
    let _ = timeout(PATIENCE, socket.send(Message::text(frame.to_string()))).await;
}

/// The next frame; none at the end of the connection.
async fn next(socket: &mut Socket) -> Option<Value> {
    loop {
        match socket.next().await?.ok()? {
            Message::Text(text) => return serde_json::from_str(&text).ok(),
            Message::Close(_) => return None,
            _ => {}
        }
    }
}

/// The answer to what was said under this number; none at the end of the connection, or of patience.
async fn answer(socket: &mut Socket, number: usize) -> Option<Value> {
    let find = async {
        loop {
            let frame = next(socket).await?;
            if frame["ref"] == json!(number) {
                return Some(frame);
            }
        }
    };
    timeout(PATIENCE, find).await.ok()?
}
