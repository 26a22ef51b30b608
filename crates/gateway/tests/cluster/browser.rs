//! The page, in a real browser.

use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;

use testkit::{Gateway, GatewayOptions, PATIENCE, Signal, free_port, within};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};

use crate::fixture::chorus;
use crate::tools;

/// A gateway in development mode, on an address that it has again after a restart.
async fn start(addr: SocketAddr) -> Gateway {
    GatewayOptions::bare(chorus()).listen(&addr.to_string()).env("CHORUS_LOG", "debug").start().await
}

/// The script says when the server is to stop and to start (its contract stands at its top). The first time it is
/// asked to end, the second time it is killed.
#[tokio::test]
async fn two_people_chat_while_the_server_restarts() {
    let addr = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let mut gateway = Some(start(addr).await);
    let mut signals = [Signal::TERM, Signal::KILL].into_iter();

    let artifacts = tools::artifacts("chat");
    let mut script = tools::node()
        .arg(tools::scripts().join("chat.mjs"))
        .arg(format!("http://{addr}/"))
        .arg(&artifacts)
        // Less than our own patience: the script knows better what it waited for.
        .env("CHAT_DEADLINE_SECONDS", "90")
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
    let said = within(Duration::from_mins(2), "the browser to finish", conversation).await;
    let status = script.wait().await.unwrap();
    let complaints = complaints.await.unwrap();
    assert!(status.success(), "{status}: {said:#?}\n{complaints}");
    assert!(signals.next().is_none(), "the server was restarted twice: {said:#?}");
    assert!(artifacts.join("light-desk.png").is_file(), "a screenshot is kept");
}
