//! The page, in a real browser.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use testkit::{Client, Gateway, GatewayOptions, Nginx, PATIENCE, Request, Signal, free_port, token, within};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};

use crate::fixture::{chorus, cluster};
use crate::tools;

/// A gateway in development mode, on an address that it has again after a restart.
async fn start(addr: SocketAddr) -> Gateway {
    GatewayOptions::bare(chorus()).listen(&addr.to_string()).env("CHORUS_LOG", "debug").start().await
}

#[tokio::test]
async fn two_people_chat_while_the_server_restarts() {
    let addr = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let artifacts = chat(addr, addr, "chat", &[]).await;
    assert!(artifacts.join("light-desk.png").is_file(), "a screenshot is kept");
}

#[tokio::test]
async fn the_same_behind_a_proxy_that_lets_no_websocket_through() {
    let addr = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let nginx = Nginx::without_upgrades(addr).await;
    let artifacts = chat(addr, nginx.addr(), "chat-by-streams", &["streams"]).await;
    assert!(artifacts.join("light-desk.png").is_file(), "a screenshot is kept");
}

/// Runs the script against the page at `front` and a server at `addr`. It says when the server is to stop and to start
/// (its contract stands at its top). The first time it is asked to end, the second time it is killed.
async fn chat(addr: SocketAddr, front: SocketAddr, name: &str, arguments: &[&str]) -> PathBuf {
    let mut gateway = Some(start(addr).await);
    let mut signals = [Signal::TERM, Signal::KILL].into_iter();

    let artifacts = tools::artifacts(name);
    let mut script = tools::node()
        .arg(tools::scripts().join("chat.mjs"))
        .arg(format!("http://{front}/"))
        .arg(&artifacts)
        .args(arguments)
        // Less than our own patience: the script knows better what it waited for.
        .env("CHAT_DEADLINE_SECONDS", "150")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = script.stdin.take().unwrap();
    let mut stderr = script.stderr.take().unwrap();
    let mut lines = BufReader::new(script.stdout.take().unwrap()).lines();
    // Read at the same time, or a talkative browser would fill the pipe and wait.
    let complaints = tokio::spawn(async move {
        let mut text = String::new();
        let _ = stderr.read_to_string(&mut text).await;
        text
    });

    let conversation = async {
        let mut said = Vec::new();
        while let Some(line) = lines.next_line().await.unwrap() {
            match line.as_str() {
                "READY_FOR_STOP" => {
                    let mut stopping = gateway.take().expect("it runs");
                    stopping.signal(signals.next().expect("two restarts"));
                    stopping.exited(PATIENCE).await;
                    stdin.write_all(b"stopped\n").await.unwrap();
                }
                "READY_FOR_START" => {
                    gateway = Some(start(addr).await);
                    stdin.write_all(b"started\n").await.unwrap();
                }
                _ => {}
            }
            said.push(line);
        }
        said
    };
    let said = within(Duration::from_mins(3), "the browser to finish", conversation).await;
    let status = script.wait().await.unwrap();
    let complaints = complaints.await.unwrap();
    assert!(status.success(), "{status}: {said:#?}\n{complaints}");
    assert!(signals.next().is_none(), "the server was restarted twice: {said:#?}");
    artifacts
}

#[tokio::test]
async fn an_event_source_comes_back_by_itself_on_another_node() {
    let mut cluster = cluster(3).await;
    let nginx = Nginx::start([0, 1, 2].map(|node| cluster.addr(node))).await;
    let answer = Request::post("/v1/tickets").bearer(&token("bob")).send(cluster.addr(0)).await;
    let query = format!("room=lobby&room=garden&ticket={}", answer.json()["ticket"].as_str().unwrap());
    let mut script = tools::node()
        .arg(tools::scripts().join("event_source.mjs"))
        .arg(format!("http://{}/", nginx.addr()))
        .arg(query)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(script.stdout.take().unwrap()).lines();
    let mut heard = Vec::new();
    let mut next = async || {
        let line = within(PATIENCE, "a frame", lines.next_line()).await.unwrap();
        serde_json::from_str::<Value>(&line.expect("the browser goes on")).unwrap()
    };
    // It is told of two nodes that drain, one after the other, and each time finds another with what it missed meanwhile.
    let mut nodes: Vec<_> = ["node-0", "node-1", "node-2"].into_iter().zip(cluster.nodes.drain(..)).collect();
    for round in 0..3 {
        let welcome = next().await;
        assert_eq!(welcome["type"], "welcome", "{welcome}");
        let index = nodes.iter().position(|(name, _)| welcome["node"] == *name).expect("one of ours");
        let mut oks = 0;
        while oks < 2 || heard.len() < round * 10 {
            let frame = next().await;
            match frame["type"].as_str() {
                Some("ok") => {
                    assert_eq!(frame["recovered"], round > 0, "{frame}");
                    oks += 1;
                }
                Some("message") => heard.push(frame["data"].clone()),
                _ => {}
            }
        }
        if round == 2 {
            break;
        }
        let (_, mut drained) = nodes.remove(index);
        let mut talker = Client::connect(nodes[0].1.addr(), "talker").await;
        talker.join("lobby").await;
        say(&mut talker, round * 10, 5).await;
        drained.signal(Signal::TERM);
        loop {
            let frame = next().await;
            match frame["type"].as_str() {
                Some("message") => heard.push(frame["data"].clone()),
                Some("closing") => break assert_eq!(frame["reason"], "restart"),
                _ => {}
            }
        }
        say(&mut talker, round * 10 + 5, 5).await;
        drained.exited(PATIENCE).await;
    }
    assert_eq!(heard, (0..20).map(|number| json!(number)).collect::<Vec<_>>());
    drop(script.stdin.take());
    assert!(within(PATIENCE, "the browser to end", script.wait()).await.unwrap().success());
}

async fn say(talker: &mut Client, first: usize, count: usize) {
    for number in first..first + count {
        talker.say("lobby", number).await;
    }
}
