//! TLS on the main listener: what is said over it, who is not let in, and a certificate that is replaced meanwhile.
//!
//! Whole subjects of this binary run over it, too: `CHORUS_TEST_TLS=1 cargo test --test cluster -- talk:: slow::` and so on.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

use serde_json::json;
use testkit::{
    Client, Dial, Gateway, GatewayOptions, PATIENCE, Redis, Request, Signal, StreamDial, shake_hands, token,
    until, within,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::rustls::version::{TLS12, TLS13};

use crate::calls::KEY;
use crate::fixture::{FAST, agreed, options, say_many};

/// The certificate that a node shows to whoever connects now.
async fn shown(gateway: &Gateway) -> Vec<u8> {
    let ca = gateway.certificates().file("ca.pem");
    let stream = shake_hands(gateway.addr(), &ca, &[], &[]).await.expect("a handshake");
    stream.get_ref().1.peer_certificates().expect("a certificate")[0].to_vec()
}

#[tokio::test]
async fn some_over_tls_and_some_in_the_clear_are_in_one_room() {
    let redis = Redis::start().await;
    let on = |node: &str| options().config(FAST).redis(&redis).node(node);
    let (secure, plain) = (on("secure").secure().start().await, on("plain").start().await);
    let mut alice = Client::connect(secure.addr(), "alice").await;
    let mut bob = Client::connect(plain.addr(), "bob").await;
    let mut carol = StreamDial::to(secure.addr(), &["lobby"]).bearer(&token("carol")).welcomed().await;
    for client in [&mut alice, &mut bob] {
        client.join("lobby").await;
    }
    say_many(&mut alice, "lobby", 0..50).await;
    say_many(&mut bob, "lobby", 0..50).await;
    for client in [&mut alice, &mut bob] {
        client.until_events("lobby", 100).await;
    }
    carol.until_events("lobby", 100).await;
    agreed([&alice, &bob], "lobby");

    // More than a record of TLS holds, each way.
    alice.say("lobby", "x".repeat(16_000)).await;
    bob.until_events("lobby", 101).await;
    let page = alice.ok(json!({ "type": "history", "room": "lobby", "limit": 100 })).await;
    assert_eq!(page["events"].as_array().map(Vec::len), Some(100), "{page}");
    let rooms = alice.cut();
    bob.say("lobby", "she is away").await;
    let mut alice = Client::connect(secure.addr(), "alice").await;
    alice.resume(rooms).await;
    alice.until_events("lobby", 102).await;
}

#[tokio::test]
async fn both_versions_are_spoken_and_nothing_but_http_1() {
    let gateway = options().secure().start().await;
    let ca = gateway.certificates().file("ca.pem");
    for version in [&TLS12, &TLS13] {
        let mut stream = shake_hands(gateway.addr(), &ca, &[version], &["h2", "http/1.1"]).await.unwrap();
        assert_eq!(stream.get_ref().1.protocol_version(), Some(version.version));
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
        stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        // It ends with a word (close_notify), or this would be an error.
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }
    let refused = shake_hands(gateway.addr(), &ca, &[], &["h2"]).await.unwrap_err();
    assert!(refused.to_string().contains("NoApplicationProtocol"), "{refused}");
    let metrics = gateway.metrics().await;
    assert!(metrics.with("chorus_tls_handshakes_total", "result", "failed") > 0.5);
    assert!(metrics.with("chorus_tls_handshakes_total", "result", "ok") > 1.5);
}

#[tokio::test]
async fn whoever_speaks_http_in_the_clear_is_told_and_other_noise_is_cut_off() {
    let gateway = options().secure().start().await;
    let mut stream = TcpStream::connect(gateway.addr()).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    within(PATIENCE, "an answer in the clear", async {
        let mut bytes = [0; 1024];
        // It is not the server's turn to end it: what is read is the answer and then the end of what it says.
        while let Ok(read @ 1..) = stream.read(&mut bytes).await {
            answer.push_str(&String::from_utf8_lossy(&bytes[..read]));
        }
    })
    .await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 400 ") && head.contains("Content-Length: 55"), "{answer}");
    assert!(body.len() == 55 && body.contains("https://"), "{answer}");

    let mut stream = TcpStream::connect(gateway.addr()).await.unwrap();
    stream.write_all(&[0xff; 64]).await.unwrap();
    let mut bytes = Vec::new();
    let _ = within(PATIENCE, "the end", stream.read_to_end(&mut bytes)).await;
    Client::connect(gateway.addr(), "alice").await;
}

/// Who shakes hands and never ends holds a place for as long as a handshake may take, and nobody up.
#[tokio::test]
async fn a_handshake_that_stalls_is_dropped_and_others_are_served() {
    let config = "[limits]\nconnections_per_address = 1\nheader_read_timeout_ms = 1000\n";
    let gateway = options().config(config).secure().start().await;
    let mut stalled = Vec::new();
    // As many as one address may have in the lobby.
    for number in 0..64 {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.9:0".parse().unwrap()).unwrap();
        let mut stream = socket.connect(gateway.addr()).await.unwrap();
        if number % 2 == 0 {
            // The beginning of a first message of 512 bytes.
            stream.write_all(&[0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00]).await.unwrap();
        }
        stalled.push(stream);
    }
    let mut alice = Client::connect(gateway.addr(), "alice").await;
    alice.join("lobby").await;
    alice.say("lobby", "served").await;
    for mut stream in stalled {
        let mut bytes = Vec::new();
        match within(PATIENCE, "the end of a handshake", stream.read_to_end(&mut bytes)).await {
            Ok(_) => {}
            Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
        }
    }
    Dial::to(gateway.addr()).from([127, 0, 0, 9]).bearer(&token("bob")).welcomed().await;
    assert!(gateway.metrics().await.with("chorus_tls_handshakes_total", "result", "failed") > 63.5);
}

async fn reload(gateway: &Gateway) -> testkit::Response {
    Request::post("/v1/reload").bearer(KEY).send(gateway.addr()).await
}

fn with_key() -> GatewayOptions {
    options().env("CHORUS_API_KEYS", KEY).secure()
}

async fn logged(gateway: &Gateway, times: usize, words: &str) {
    until(PATIENCE, &format!("{times} lines of the log with {words:?}"), async || {
        let log = gateway.log();
        let lines = log.lines().filter(|line| line.contains(words)).count();
        if lines >= times { Ok(()) } else { Err(log) }
    })
    .await;
}

#[tokio::test]
async fn a_certificate_is_replaced_and_nobody_notices() {
    let gateway = with_key().start().await;
    let first = shown(&gateway).await;
    let mut old = Client::connect(gateway.addr(), "alice").await;
    old.join("lobby").await;
    let mut stream = StreamDial::to(gateway.addr(), &["lobby"]).bearer(&token("carol")).welcomed().await;
    old.say("lobby", "before").await;

    // Asked for.
    gateway.certificates().renew();
    let answer = reload(&gateway).await;
    let expected = json!({ "changed": ["tls.certificate"], "needs_restart": [] });
    assert_eq!((answer.status, answer.json()), (200, expected));
    let second = shown(&gateway).await;
    assert_ne!(first, second);
    // Nothing new is nothing changed.
    assert_eq!(reload(&gateway).await.json()["changed"], json!([]));
    gateway.certificates().renew();
    gateway.signal(Signal::HUP);
    logged(&gateway, 2, "another certificate is shown").await;
    let third = shown(&gateway).await;
    assert_ne!(second, third);

    // Found.
    gateway.certificates().renew();
    logged(&gateway, 3, "another certificate is shown").await;
    assert_ne!(third, shown(&gateway).await);

    let mut new = Client::connect(gateway.addr(), "bob").await;
    new.join("lobby").await;
    old.say("lobby", "after").await;
    new.say("lobby", "hello").await;
    old.until_events("lobby", 3).await;
    stream.until_events("lobby", 3).await;
    let metrics = gateway.metrics().await;
    assert!((metrics.with("chorus_tls_reloads_total", "result", "ok") - 3.0).abs() < 0.1);
    assert!(metrics.with("chorus_tls_reloads_total", "result", "failed") < 0.5);
    assert!(
        metrics.sum("chorus_tls_certificate_expiry_timestamp_seconds") > 4e9,
        "rcgen's are good until 4096"
    );
}

#[tokio::test]
async fn a_bad_certificate_changes_nothing_and_says_why() {
    let gateway = with_key().start().await;
    let certificates = gateway.certificates();
    let (certificate, key) = (certificates.file("server.pem"), certificates.file("server.key"));
    let first = shown(&gateway).await;
    let mut alice = Client::connect(gateway.addr(), "alice").await;
    alice.join("lobby").await;
    let good = [fs::read(&certificate).unwrap(), fs::read(&key).unwrap()];
    let other = fs::read(certificates.file("client.key")).unwrap();
    let nonsense = b"nonsense".to_vec();
    let worse = [
        ([Some(&good[0]), Some(&other)], &["tls.key", "server.key", "the key of tls.certificate"][..]),
        ([Some(&nonsense), Some(&good[1])], &["tls.certificate", "server.pem", "there is none in it"]),
        ([Some(&good[0]), Some(&nonsense)], &["tls.key", "a private key in PEM"]),
        ([Some(&good[0]), None], &["tls.key", "server.key", "No such file"]),
        ([None, Some(&good[1])], &["tls.certificate", "server.pem", "No such file"]),
    ];
    let put = |path: &Path, bytes: Option<&Vec<u8>>| match bytes {
        Some(bytes) => fs::write(path, bytes).unwrap(),
        None => fs::remove_file(path).unwrap(),
    };
    for ([pem, own], words) in worse {
        put(&certificate, pem);
        put(&key, own);
        let answer = reload(&gateway).await;
        assert_eq!(answer.status, 422, "{answer:?}");
        let detail = answer.json()["detail"].as_str().unwrap().to_owned();
        assert!(words.iter().all(|word| detail.contains(word)), "{words:?}: {detail}");
        assert_eq!(shown(&gateway).await, first);
        put(&certificate, Some(&good[0]));
        put(&key, Some(&good[1]));
    }
    certificates.renew_too_late();
    let answer = reload(&gateway).await;
    assert!(answer.status == 422 && answer.body.contains("it has expired"), "{answer:?}");
    // It is found without being asked for, and said once.
    logged(&gateway, 1, "the new certificate is not shown").await;
    until(PATIENCE, "a second look at it", async || {
        let failed = gateway.metrics().await.with("chorus_tls_reloads_total", "result", "failed");
        // Six were asked for.
        if failed > 7.5 { Ok(()) } else { Err(failed.to_string()) }
    })
    .await;
    assert_eq!(gateway.log().matches("the new certificate is not shown").count(), 1);
    assert_eq!(shown(&gateway).await, first);
    alice.say("lobby", "still here").await;

    certificates.renew();
    assert_eq!(reload(&gateway).await.status, 200);
    assert_ne!(shown(&gateway).await, first);
}

#[tokio::test]
async fn a_node_does_not_start_with_files_that_it_can_not_use() {
    let certificates = testkit::Certificates::new();
    let file = |name: &str| certificates.file(name).display().to_string();
    for (certificate, key, words) in [
        (Some("server.pem"), None, &["tls.certificate", "CHORUS_TLS_KEY"][..]),
        (None, Some("server.key"), &["tls.key", "CHORUS_TLS_CERTIFICATE"]),
        (Some("server.pem"), Some("client.key"), &["tls.key", "client.key", "the key of tls.certificate"]),
        (Some("server.key"), Some("server.key"), &["tls.certificate", "there is none in it"]),
        (Some("nothing.pem"), Some("server.key"), &["tls.certificate", "nothing.pem", "No such file"]),
    ] {
        let mut options = GatewayOptions::new(crate::fixture::chorus());
        for (name, given) in [("CHORUS_TLS_CERTIFICATE", certificate), ("CHORUS_TLS_KEY", key)] {
            if let Some(given) = given {
                options = options.env(name, file(given));
            }
        }
        let output = options.run().await;
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert_eq!(said.trim_end().lines().count(), 1, "{said}");
        assert!(words.iter().all(|word| said.contains(word)), "{words:?}: {said}");
    }
}

#[tokio::test]
async fn health_is_asked_over_tls_and_metrics_have_a_listener_in_the_clear() {
    let metrics = format!("127.0.0.1:{}", testkit::free_port());
    let gateway = options().env("CHORUS_METRICS_LISTEN", &metrics).secure().start().await;
    let asked = GatewayOptions::bare(crate::fixture::chorus())
        .listen(&gateway.addr().to_string())
        .env("CHORUS_TLS_CERTIFICATE", "/not/read.pem")
        .env("CHORUS_TLS_KEY", "/not/read.key")
        .args(&["health"])
        .run()
        .await;
    assert_eq!(asked.status.code(), Some(0), "{asked:?}");
    assert!(String::from_utf8_lossy(&asked.stdout).contains("\"ready\":true"), "{asked:?}");
    let scraped = Request::get("/metrics").send(metrics.parse().unwrap()).await;
    assert!(scraped.status == 200 && scraped.body.contains("chorus_tls_handshakes_total"), "{scraped:?}");
}

/// A handshake under way is no reason to wait.
#[tokio::test]
async fn a_drain_does_not_wait_for_handshakes() {
    let mut gateway = options().config("[limits]\nheader_read_timeout_ms = 60000\n").secure().start().await;
    let mut stalled = TcpStream::connect(gateway.addr()).await.unwrap();
    let mut alice = Client::connect(gateway.addr(), "alice").await;
    alice.join("lobby").await;
    gateway.signal(Signal::TERM);
    assert_eq!(alice.closed().await.code, 1012);
    let mut bytes = Vec::new();
    let _ = within(Duration::from_secs(10), "the end", stalled.read_to_end(&mut bytes)).await;
    assert_eq!(gateway.exited(PATIENCE).await.code(), Some(0));
}
