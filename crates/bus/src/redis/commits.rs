//! Appends that wait for replicas, which is what `history.ack = "replicated"` promises.
//!
//! `WAIT` counts the replicas that have what its own connection wrote, and a connection does nothing else until it is
//! answered. So whatever comes meanwhile, from however many rooms, goes out together, with one `WAIT` behind it.
//!
//! While too few replicas answer nothing is appended: what was appended last is waited for again and again, and
//! whoever comes is refused at once. Otherwise everybody would be refused after a second's wait, for something that is
//! in the log all the same.

use std::{mem, sync::Arc, time::Duration};

use fred::{
    clients::Client,
    error::{Error, ErrorKind},
    interfaces::ClientLike,
    types::{CustomCommand, Value},
};
use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::panic::Unfinished;

/// How long an append waits for replicas. They take a round trip; one that takes longer is hardly there.
const PATIENCE: Duration = Duration::from_secs(1);

/// Commands before one `WAIT`. Each is a batch of a room, of up to 256 KiB.
const GROUP: usize = 128;

/// The appends to one primary.
pub(super) struct Commits {
    pub(super) client: Client,
    /// How many replicas must have what is answered.
    wanted: u32,
    queue: Mutex<Queue>,
}

#[derive(Default)]
struct Queue {
    waiting: Vec<Waiting>,
    /// Whether there is a task that sends what waits.
    driven: bool,
    /// How many replicas there were when they were too few.
    away: Option<u32>,
}

/// What the commands of a group were answered, and what their `WAIT` was.
type Answers = (Vec<Result<Value, Error>>, Result<u32, Error>);

/// A command, and who wants its answer.
struct Waiting {
    asking: bool,
    name: &'static str,
    args: Vec<Value>,
    answer: oneshot::Sender<Result<Value, Error>>,
}

impl Commits {
    pub(super) fn new(client: Client, wanted: u32) -> Arc<Self> {
        Arc::new(Self { client, wanted, queue: Mutex::default() })
    }

    /// Sends a command, with `ASKING` before it if so wished, and answers when the replicas have what it wrote.
    pub(super) async fn send(
        self: &Arc<Self>,
        name: &'static str,
        args: Vec<Value>,
        asking: bool,
    ) -> Result<Value, Error> {
        let (answer, receiver) = oneshot::channel();
        let must_drive = {
            let mut queue = self.queue.lock();
            if let Some(found) = queue.away {
                return Err(self.too_few(found));
            }
            queue.waiting.push(Waiting { asking, name, args, answer });
            !mem::replace(&mut queue.driven, true)
        };
        if must_drive {
            let own = Arc::clone(self);
            tokio::spawn(async move {
                let unfinished = Unfinished::new("commits", || *own.queue.lock() = Queue::default());
                own.drive().await;
                unfinished.finished();
            });
        }
        receiver.await.unwrap_or_else(|_| Err(Error::new_canceled()))
    }

    /// Sends what waits until nothing does.
    async fn drive(&self) {
        loop {
            let group: Vec<Waiting> = {
                let mut queue = self.queue.lock();
                let count = queue.waiting.len().min(GROUP);
                if count == 0 {
                    queue.driven = false;
                    return;
                }
                queue.waiting.drain(..count).collect()
            };
            let found = self.commit(group).await;
            if let Ok(found) = found
                && found < self.wanted
            {
                self.until_back(found).await;
            }
        }
    }

    /// Sends a group and answers it. Gives how many replicas have it.
    async fn commit(&self, group: Vec<Waiting>) -> Result<u32, Error> {
        let (commands, answers): (Vec<_>, Vec<_>) =
            group.into_iter().map(|it| ((it.asking, it.name, it.args), it.answer)).unzip();
        match self.call(commands).await {
            Ok((results, found)) => {
                for (answer, result) in answers.into_iter().zip(results) {
                    let result = result.and_then(|value| match &found {
                        Ok(found) if *found >= self.wanted => Ok(value),
                        Ok(found) => Err(self.too_few(*found)),
                        Err(error) => Err(error.clone()),
                    });
                    // Whoever asked may have gone.
                    let _ = answer.send(result);
                }
                found
            }
            Err(error) => {
                for answer in answers {
                    let _ = answer.send(Err(error.clone()));
                }
                Err(error)
            }
        }
    }

    /// The answer to each command, and how many replicas have what they wrote.
    async fn call(&self, commands: Vec<(bool, &'static str, Vec<Value>)>) -> Result<Answers, Error> {
        let pipeline = self.client.pipeline();
        let mut wanted = Vec::new();
        for (asking, name, args) in commands {
            // Queued, not sent.
            if asking {
                let _: Value = pipeline.custom(command("ASKING"), Vec::<Value>::new()).await?;
                wanted.push(false);
            }
            let _: Value = pipeline.custom(command(name), args).await?;
            wanted.push(true);
        }
        let _: Value = pipeline.custom(command("WAIT"), self.wait()).await?;
        let mut results = pipeline.try_all::<Value>().await;
        if results.len() != wanted.len() + 1 {
            // One error for all of them.
            return Err(results.into_iter().find_map(Result::err).unwrap_or_else(Error::new_canceled));
        }
        let found = results.pop().unwrap_or_else(|| Err(Error::new_canceled()));
        let results = results.into_iter().zip(wanted).filter_map(|(result, wanted)| wanted.then_some(result));
        Ok((results.collect(), found.map(|count| replicas(&count))))
    }

    /// Refuses whoever comes, until the replicas have what was appended last, or there is another connection.
    async fn until_back(&self, mut found: u32) {
        tracing::warn!(found, wanted = self.wanted, "too few replicas confirm appends");
        while found < self.wanted {
            let waiting = {
                let mut queue = self.queue.lock();
                queue.away = Some(found);
                mem::take(&mut queue.waiting)
            };
            for waiting in waiting {
                let _ = waiting.answer.send(Err(self.too_few(found)));
            }
            match self.client.custom::<Value, _>(command("WAIT"), self.wait()).await {
                Ok(count) => found = replicas(&count),
                // What is tried next will tell.
                Err(_) => break,
            }
        }
        self.queue.lock().away = None;
        tracing::info!(found, "replicas are asked to confirm appends again");
    }

    fn wait(&self) -> Vec<Value> {
        vec![self.wanted.into(), (PATIENCE.as_millis() as u32).into()]
    }

    fn too_few(&self, found: u32) -> Error {
        Error::new(ErrorKind::Unknown, format!("{found} of {} replicas confirmed in time", self.wanted))
    }
}

/// Not fred's own WAIT, EVALSHA and FCALL, which it takes for commands that block and can't stand in a pipeline.
fn command(name: &'static str) -> CustomCommand {
    CustomCommand::new_static(name, None::<u16>, false)
}

fn replicas(count: &Value) -> u32 {
    count.as_u64().map_or(0, |count| u32::try_from(count).unwrap_or(u32::MAX))
}
