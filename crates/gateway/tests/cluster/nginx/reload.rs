//! A reload under load: prints the rows of the table in `nginx/README.md`. All clients come from one address, and any
//! gateway resumes any of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;
use testkit::{Client, Cluster, Nginx, NginxOptions, PATIENCE, Redis, until};

use crate::drain::say;
use crate::fixture::{FAST, agreed, options};

const CLIENTS: usize = 30;
/// Each says something new after so long, so that what all hold stays small.
const PAUSE: Duration = Duration::from_millis(20);
/// What `worker_shutdown_timeout` is here.
const SHUTDOWN: Duration = Duration::from_secs(2);

/// Everybody talks, and goes on wherever nginx sends it when its connection is cut.
struct Talk {
    cluster: Cluster,
    nginx: Arc<Nginx>,
    said: Arc<AtomicUsize>,
    over: Arc<AtomicBool>,
    tasks: Vec<tokio::task::JoinHandle<Story>>,
}

/// What became of one client.
struct Story {
    client: Client,
    /// When it was cut, and whether another gateway resumed it.
    cuts: Vec<(Instant, bool)>,
}

impl Talk {
    async fn begin(choices: NginxOptions) -> Self {
        let trusting = options().config("trusted_proxies = [\"127.0.0.1\"]").config(FAST);
        let cluster = Cluster::start_with(Redis::start().await, 3, trusting).await;
        let choices = choices.without("ip_hash;").with("least_conn;");
        let nginx = Arc::new(choices.start([0, 1, 2].map(|node| cluster.addr(node))).await);
        let (said, over) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let mut clients = Vec::new();
        for number in 0..CLIENTS {
            let mut client = Client::connect(nginx.addr(), &format!("user-{number}")).await;
            client.join("lobby").await;
            clients.push(client);
        }
        for node in 0..3 {
            let there = clients.iter().filter(|client| client.node() == format!("node-{node}")).count();
            assert_eq!(there, CLIENTS / 3, "least_conn gives each gateway as many");
        }
        let tasks = clients
            .into_iter()
            .map(|client| {
                tokio::spawn(talk(client, Arc::clone(&nginx), Arc::clone(&said), Arc::clone(&over)))
            })
            .collect();
        let talk = Self { cluster, nginx, said, over, tasks };
        talk.more().await;
        talk
    }

    async fn more(&self) {
        let before = self.said.load(Ordering::Relaxed);
        until(PATIENCE, "more to be said", async || {
            let more = self.said.load(Ordering::Relaxed) - before;
            if more >= 10 * CLIENTS { Ok(()) } else { Err(more.to_string()) }
        })
        .await;
    }

    /// Ends it, and sees that everybody has everything once.
    async fn end(self) -> (Vec<Story>, Arc<Nginx>) {
        self.over.store(true, Ordering::Relaxed);
        let mut stories = Vec::new();
        for task in self.tasks {
            stories.push(task.await.expect("a client that lost nothing"));
        }
        let total = self.said.load(Ordering::Relaxed);
        for Story { client, .. } in &mut stories {
            client.until_events("lobby", total).await;
            let ledger = client.ledger("lobby");
            assert_eq!((&ledger.resets, ledger.unrecovered), (&Vec::<Value>::new(), 0), "{}", client.name());
        }
        assert_eq!(agreed(stories.iter().map(|story| &story.client), "lobby").len(), total);
        drop(self.cluster);
        (stories, self.nginx)
    }
}

async fn talk(mut client: Client, nginx: Arc<Nginx>, said: Arc<AtomicUsize>, over: Arc<AtomicBool>) -> Story {
    let mut cuts = Vec::new();
    for message in 0.. {
        let id = format!("{} {message}", client.name());
        while !say(&mut client, &id).await {
            assert_eq!(client.closed().await.code, 1006, "nginx closes without a word");
            let (cut, name, node) = (Instant::now(), client.name().to_owned(), client.node().to_owned());
            let rooms = client.cut();
            client = Client::connect(nginx.addr(), &name).await;
            let replies = client.resume(rooms).await;
            assert_eq!(replies["lobby"]["recovered"], true, "{replies:?}");
            cuts.push((cut, client.node() != node));
        }
        said.fetch_add(1, Ordering::Relaxed);
        if over.load(Ordering::Relaxed) {
            break;
        }
        client.drain(PAUSE).await;
    }
    Story { client, cuts }
}

#[tokio::test]
async fn a_reload_cuts_all_at_the_timeout_and_any_gateway_resumes_them_without_a_loss() {
    let timeout = format!("worker_shutdown_timeout {}s;", SHUTDOWN.as_secs());
    let talk = Talk::begin(NginxOptions::shipped().replace("worker_shutdown_timeout 15m;", &timeout)).await;
    let reloaded = Instant::now();
    talk.nginx.reload().await;
    talk.more().await;
    until(PATIENCE, "the old workers to end", async || {
        let leaving = talk.nginx.leaving();
        if leaving == 0 { Ok(()) } else { Err(leaving.to_string()) }
    })
    .await;
    talk.more().await;
    let (stories, _) = talk.end().await;

    let cuts: Vec<_> = stories.iter().flat_map(|story| &story.cuts).collect();
    let times = cuts.iter().map(|(when, _)| when.duration_since(reloaded));
    let (first, last) = (times.clone().min().unwrap_or_default(), times.max().unwrap_or_default());
    let elsewhere = cuts.iter().filter(|(_, elsewhere)| *elsewhere).count();
    let seconds = SHUTDOWN.as_secs();
    println!(
        "| {seconds} s | {} of {CLIENTS} | {first:.1?} to {last:.1?} after the reload | 0 | {elsewhere} |",
        cuts.len()
    );
    assert!(
        stories.iter().all(|story| story.cuts.len() == 1),
        "each is cut once, not again by the new workers"
    );
    assert!(first >= SHUTDOWN, "nobody is cut before its time: {first:?}");
    assert!(elsewhere > 0, "stickiness is not needed");
}

#[tokio::test]
async fn without_the_timeout_a_reload_cuts_nobody_and_the_old_workers_stay_for_their_sockets() {
    let talk = Talk::begin(NginxOptions::shipped().replace("worker_shutdown_timeout 15m;\n", "")).await;
    let reloaded = Instant::now();
    talk.nginx.reload().await;
    // Whoever comes now is a matter of the new workers.
    let newcomer = Client::connect(talk.nginx.addr(), "newcomer").await;
    // Longer than in the other test.
    until(PATIENCE, "time to pass", async || {
        talk.more().await;
        if reloaded.elapsed() > SHUTDOWN * 3 / 2 { Ok(()) } else { Err(format!("{:?}", reloaded.elapsed())) }
    })
    .await;
    let leaving = talk.nginx.leaving();
    let (stories, nginx) = talk.end().await;
    let cuts: usize = stories.iter().map(|story| story.cuts.len()).sum();
    println!("| none | {cuts} of {CLIENTS} | never; {leaving} old workers stay for them | 0 | |");
    assert_eq!(cuts, 0);
    assert!(leaving > 0);
    drop((stories, newcomer));
    until(PATIENCE, "the old workers to end with their last socket", async || {
        let leaving = nginx.leaving();
        if leaving == 0 { Ok(()) } else { Err(leaving.to_string()) }
    })
    .await;
}
