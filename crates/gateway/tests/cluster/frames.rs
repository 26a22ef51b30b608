//! Frames that no decent client sends, and some that are odd but fine.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use testkit::{Client, Close, Gateway, PATIENCE, RawSocket, token, within};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;

use crate::fixture::{options, single};

async fn raw(gateway: &Gateway) -> RawSocket {
    let mut socket = RawSocket::open(gateway.addr(), &format!("/ws?token={}", token("raw"))).await;
    let welcome = socket.read_opcode(1).await;
    assert!(String::from_utf8(welcome.payload).unwrap().contains("welcome"));
    socket
}

async fn pong(socket: &mut RawSocket) {
    let frame = socket.read_opcode(1).await;
    let reply: Value = serde_json::from_slice(&frame.payload).unwrap();
    assert_eq!(reply["type"], "pong", "{reply}");
}

#[tokio::test]
async fn malformed_frames_get_an_error_and_the_connection_stays() {
    let gateway = single().await;
    let mut alice = Client::connect(gateway.addr(), "alice").await;
    alice.join("lobby").await;
    let cases = [
        ("", "bad_request"),
        ("hello", "bad_request"),
        ("{", "bad_request"),
        ("[]", "bad_request"),
        ("42", "bad_request"),
        ("null", "bad_request"),
        ("{}", "bad_request"),
        (r#"{"type":7}"#, "bad_request"),
        (r#"{"type":"ping"} {"type":"ping"}"#, "bad_request"),
        (r#"{"type":"join"}"#, "bad_request"),
        (r#"{"type":"join","room":7}"#, "bad_request"),
        (r#"{"type":"message","room":"lobby"}"#, "bad_request"),
        (r#"{"type":"message","room":"lobby","data":{"a":}}"#, "bad_request"),
        (r#"{"type":"join","room":"lobby","since":{"epoch":"a","seq":-1}}"#, "bad_request"),
        (r#"{"type":"join","room":"lobby","since":{"epoch":"a","seq":1.5}}"#, "bad_request"),
        (r#"{"type":"dance"}"#, "unknown_type"),
        (r#"{"type":"edit","room":"lobby","target":{"epoch":"a","seq":1},"data":1}"#, "not_found"),
    ];
    for (text, code) in cases {
        alice.send_text(text.to_owned()).await;
        let error = alice.expect("error").await;
        assert_eq!(error["code"], code, "{text}: {error}");
        assert!(error["message"].as_str().is_some_and(|m| !m.is_empty()), "{error}");
        // A good frame in between: they are not in a row.
        alice.ok(json!({ "type": "join", "room": "lobby" })).await;
    }
    for room in ["", "two words", "~control", "{brace}", "ümlaut", &"x".repeat(129), "@", "chat/room"] {
        assert_eq!(alice.refused(json!({ "type": "join", "room": room })).await, "bad_room", "{room}");
    }
    alice.join(&"x".repeat(128)).await;
}

#[tokio::test]
async fn an_error_names_the_ref_of_the_frame_if_it_has_one() {
    let gateway = single().await;
    let mut alice = Client::connect(gateway.addr(), "alice").await;
    for reference in [json!("a string"), json!(9_007_199_254_740_991_u64), json!(0)] {
        alice.send(&json!({ "type": "dance", "ref": reference })).await;
        assert_eq!(alice.expect("error").await["ref"], reference);
    }
    // Without a ref errors are told all the same, and oks are not.
    alice.send(&json!({ "type": "join", "room": "not a room" })).await;
    assert_eq!(alice.expect("error").await.get("ref"), None);
    for reference in [json!("x".repeat(65)), json!({}), json!(1.5), json!(true)] {
        alice.send(&json!({ "type": "ping", "ref": reference })).await;
        assert_eq!(alice.expect("error").await["code"], "bad_request", "{reference}");
    }
}

#[tokio::test]
async fn ten_malformed_frames_in_a_row_close() {
    let gateway = single().await;
    let mut alice = Client::connect(gateway.addr(), "alice").await;
    for _ in 0..9 {
        alice.send_text("nonsense".to_owned()).await;
    }
    assert_eq!(alice.request(json!({ "type": "ping" })).await["type"], "pong");
    for _ in 0..10 {
        alice.send_text("nonsense".to_owned()).await;
    }
    assert_eq!(alice.closed().await, Close { code: 1008, reason: "bad_request".to_owned() });
}

#[tokio::test]
async fn data_above_its_limit_is_refused_and_a_frame_above_its_limit_closes() {
    let gateway = single().await;
    let mut alice = Client::connect(gateway.addr(), "alice").await;
    alice.join("lobby").await;
    // The quotes count.
    alice.say("lobby", "x".repeat(16 * 1024 - 2)).await;
    let long = json!({ "type": "message", "room": "lobby", "data": "x".repeat(16 * 1024 - 1) });
    assert_eq!(alice.refused(long).await, "too_large");

    let padding = |bytes: usize| {
        let empty = json!({ "type": "ping", "pad": "" }).to_string().len();
        json!({ "type": "ping", "pad": "x".repeat(bytes - empty) }).to_string()
    };
    alice.send_text(padding(64 * 1024)).await;
    alice.expect("pong").await;
    alice.send_text(padding(64 * 1024 + 1)).await;
    assert_eq!(alice.closed().await, Close { code: 1009, reason: "too_large".to_owned() });
}

#[tokio::test]
async fn nesting_is_limited() {
    let gateway = single().await;
    let mut alice = Client::connect(gateway.addr(), "alice").await;
    alice.join("lobby").await;
    let nested = |depth: usize| {
        let (open, close) = ("[".repeat(depth), "]".repeat(depth));
        format!(r#"{{"type":"message","room":"lobby","ref":1,"data":{open}{close}}}"#)
    };
    // The frame itself is the first level.
    alice.send_text(nested(31)).await;
    assert_eq!(alice.expect("ok").await["room"], "lobby");
    for depth in [32, 33, 1000, 30_000] {
        alice.send_text(nested(depth)).await;
        assert_eq!(alice.expect("error").await["code"], "too_large", "{depth}");
    }
    // Also where it is nobody's business.
    let ignored = format!(r#"{{"type":"ping","whatever":{}{}}}"#, "[".repeat(20_000), "]".repeat(20_000));
    alice.send_text(ignored).await;
    assert_eq!(alice.expect("error").await["code"], "too_large");
    assert_eq!(alice.request(json!({ "type": "ping" })).await["type"], "pong");
}

#[tokio::test]
async fn data_is_handed_on_as_it_was_sent() {
    let gateway = single().await;
    let mut alice = Client::connect(gateway.addr(), "alice").await;
    alice.join("lobby").await;
    let precise =
        r#"{"b":1,"a":1.10,"big":123456789012345678901234567890,"a":"twice","é":"\u0000\ud83d\ude00 😀"}"#;
    alice.send_text(format!(r#"{{"type":"message","room":"lobby","data": {precise} }}"#)).await;
    alice.until_events("lobby", 1).await;
    assert!(alice.last_text().contains(precise), "{}", alice.last_text());
}

#[tokio::test]
async fn binary_is_not_supported() {
    let gateway = single().await;
    let mut alice = Client::connect(gateway.addr(), "alice").await;
    alice.send_message(Message::binary(&b"{\"type\":\"ping\"}"[..])).await;
    assert_eq!(alice.closed().await, Close { code: 1003, reason: "binary_unsupported".to_owned() });
}

#[tokio::test]
async fn fragments_are_fine_and_so_are_control_frames_between_them() {
    let gateway = single().await;
    let mut socket = raw(&gateway).await;
    let text = r#"{"type":"ping","note":"grüße"}"#.as_bytes();
    // Cut in the middle of a character too.
    for cut in 1..text.len() {
        socket.send(0x01, &text[..cut]).await;
        socket.send(0x80, &text[cut..]).await;
        pong(&mut socket).await;
    }
    socket.send(0x01, &text[..5]).await;
    socket.send(0x89, b"are you there").await;
    assert_eq!(socket.read_opcode(10).await.payload, b"are you there");
    for byte in &text[5..] {
        socket.send(0x00, &[*byte]).await;
    }
    socket.send(0x8a, b"a pong nobody asked for").await;
    socket.send(0x80, b"").await;
    pong(&mut socket).await;
}

#[tokio::test]
async fn bytes_may_come_one_by_one() {
    let gateway = single().await;
    let mut socket = raw(&gateway).await;
    let mask = [1, 2, 3, 4];
    let text = br#"{"type":"ping"}"#;
    let mut frame = vec![0x81, 0x80 + text.len() as u8];
    frame.extend(mask);
    frame.extend(text.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    for byte in frame {
        socket.send_bytes(&[byte]).await;
        tokio::task::yield_now().await;
    }
    pong(&mut socket).await;
}

/// What is sent, and the code that must answer it.
type Violation = (&'static str, u16, fn() -> Vec<u8>);

/// A masked frame with a mask of zeros, which leaves the payload as it is.
fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    assert!(payload.len() < 126);
    let mut frame = vec![first, 0x80 + payload.len() as u8, 0, 0, 0, 0];
    frame.extend(payload);
    frame
}

#[tokio::test]
async fn violations_of_the_protocol_close_with_their_code() {
    let violations: [Violation; 16] = [
        ("no mask", 1002, || [&[0x81, 15][..], br#"{"type":"ping"}"#].concat()),
        ("the first reserved bit", 1002, || masked(0xc1, b"{}")),
        ("the second reserved bit", 1002, || masked(0xa1, b"{}")),
        ("the third reserved bit", 1002, || masked(0x91, b"{}")),
        ("a reserved opcode", 1002, || masked(0x83, b"{}")),
        ("a reserved control opcode", 1002, || masked(0x8b, b"{}")),
        ("a fragmented ping", 1002, || masked(0x09, b"x")),
        ("a long ping", 1002, || [&[0x89, 0x80 + 126, 0, 126, 0, 0, 0, 0][..], &[b'x'; 126]].concat()),
        ("a continuation of nothing", 1002, || masked(0x80, b"{}")),
        ("a message within a message", 1002, || [masked(0x01, b"{"), masked(0x81, b"}")].concat()),
        ("a close of one byte", 1002, || masked(0x88, &[3])),
        ("a close with a code of nobody's", 1002, || masked(0x88, &1005_u16.to_be_bytes())),
        ("not UTF-8", 1007, || masked(0x81, b"{\"a\":\"\xff\"}")),
        ("half a character", 1007, || masked(0x81, b"\"\xc3")),
        ("an encoded surrogate", 1007, || masked(0x81, b"\"\xed\xa0\x80\"")),
        ("a length without end", 1009, || {
            [&[0x81, 0xff][..], &(1_u64 << 62).to_be_bytes(), &[0; 4]].concat()
        }),
    ];
    let gateway = single().await;
    for (what, code, bytes) in violations {
        let mut socket = raw(&gateway).await;
        socket.send_bytes(&bytes()).await;
        assert_eq!(socket.closed().await.0, code, "{what}");
        assert_eq!(socket.read().await, None, "{what}: the stream ends after the close frame");
    }
}

#[tokio::test]
async fn fragments_without_end_are_cut_at_the_limit() {
    let gateway = single().await;
    let mut socket = raw(&gateway).await;
    socket.send(0x01, &" ".repeat(60_000).into_bytes()).await;
    for _ in 0..4 {
        socket.send(0x00, &[b' '; 2_000]).await;
    }
    assert_eq!(socket.closed().await, (1009, "too_large".to_owned()));
}

#[tokio::test]
async fn whoever_is_closed_while_it_sends_can_read_why() {
    // What it sent on was not read, so the kernel answered with a reset, and the close frame was lost with it.
    let gateway = single().await;
    let long = [&[0x81, 0xff][..], &(4_u64 << 20).to_be_bytes(), &vec![0; 4 + (4 << 20)]].concat();
    for _ in 0..5 {
        let mut socket = raw(&gateway).await;
        socket.try_send_bytes(&long).await.expect("no reset while it sends");
        assert_eq!(socket.closed().await, (1009, "too_large".to_owned()));
    }
}

#[tokio::test]
async fn a_close_frame_that_breaks_the_rules_is_not_waited_on() {
    // It was answered, and then a second close frame was waited for, which nobody sends.
    let gateway = single().await;
    let mut socket = raw(&gateway).await;
    let began = Instant::now();
    socket.send(0x88, &[3]).await;
    assert_eq!(socket.closed().await.0, 1002);
    assert_eq!(socket.read().await, None);
    assert!(began.elapsed() < Duration::from_secs(1), "the end of the stream took {:?}", began.elapsed());
}

#[tokio::test]
async fn a_text_that_can_be_none_is_not_waited_for() {
    let gateway = single().await;
    for (what, bytes) in [
        ("in a frame", [&[0x81, 0x80 + 100, 0, 0, 0, 0][..], b"gr\xc3\xbc\xff"].concat()),
        ("in a fragment", masked(0x01, b"\xff")),
        ("in the second", [masked(0x01, b"\xc3"), masked(0x00, b"x")].concat()),
    ] {
        let mut socket = raw(&gateway).await;
        socket.send_bytes(&bytes).await;
        assert_eq!(socket.closed().await, (1007, "not_utf8".to_owned()), "{what}");
    }
}

#[tokio::test]
async fn an_echo_is_a_diagnostic_that_must_be_switched_on() {
    let plain = single().await;
    assert_eq!(testkit::Request::get("/echo").send(plain.addr()).await.status, 404);

    let gateway = options().config("[auth]\ndeadline_ms = 200\n[diagnostics]\necho = true\n").start().await;
    let mut socket = RawSocket::open(gateway.addr(), "/echo").await;
    // It asks for no token, so there is no deadline for one.
    let began = Instant::now();
    let mut rounds = 0;
    while began.elapsed() < Duration::from_millis(500) || rounds < 10 {
        socket.send(0x02, &[0xff]).await;
        socket.send(0x80, &[0xfe]).await;
        assert_eq!(socket.read_opcode(2).await.payload, [0xff, 0xfe]);
        socket.text("grüße").await;
        assert_eq!(socket.read_opcode(1).await.payload, "grüße".as_bytes());
        rounds += 1;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // The limits are those of /ws.
    for _ in 0..200 {
        socket.text("too fast").await;
    }
    assert_eq!(socket.closed().await, (1008, "rate_limited".to_owned()));
    let mut socket = RawSocket::open(gateway.addr(), "/echo").await;
    socket.send(0x82, &vec![0; 64 * 1024 + 1]).await;
    assert_eq!(socket.closed().await, (1009, "too_large".to_owned()));
}

#[tokio::test]
async fn a_header_that_comes_drop_by_drop_is_not_waited_for() {
    let config = "[limits]\nheader_read_timeout_ms = 500\n";
    let gateway = options().config(config).start().await;
    let mut slow = TcpStream::connect(gateway.addr()).await.unwrap();
    let mut silent = TcpStream::connect(gateway.addr()).await.unwrap();
    let dripping = async {
        let header =
            b"GET /ws HTTP/1.1\r\nHost: chat.example\r\nX-Slow: ".iter().chain(std::iter::repeat(&b'x'));
        let mut drop = tokio::time::interval(Duration::from_millis(50));
        for byte in header {
            drop.tick().await;
            if slow.write_all(&[*byte]).await.is_err() {
                return;
            }
        }
    };
    within(PATIENCE, "the slow header to be cut", dripping).await;
    let mut rest = Vec::new();
    // Reset or ended: both are an end.
    let _ = within(PATIENCE, "the silent one to be cut", silent.read_to_end(&mut rest)).await;
    // Others were not disturbed.
    Client::connect(gateway.addr(), "alice").await;
}

#[tokio::test]
async fn requests_that_are_no_upgrade_are_answered_and_not_upgraded() {
    let gateway = single().await;
    let plain = testkit::Request::get("/ws").send(gateway.addr()).await;
    assert!([400, 426].contains(&plain.status), "{plain:?}");
    let nowhere = testkit::Request::get("/nowhere").send(gateway.addr()).await;
    assert_eq!(nowhere.status, 404);
    let mut garbage = TcpStream::connect(gateway.addr()).await.unwrap();
    garbage
        .write_all(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 this is TLS, or so\r\n\r\n")
        .await
        .unwrap();
    let mut answer = Vec::new();
    let _ = within(PATIENCE, "garbage to be cut", garbage.read_to_end(&mut answer)).await;
    let long =
        testkit::Request::get(format!("/ws?token={}", "x".repeat(1 << 20))).try_send(gateway.addr()).await;
    assert!(long.is_err() || long.unwrap().status >= 400);
    Client::connect(gateway.addr(), "alice").await;
}
