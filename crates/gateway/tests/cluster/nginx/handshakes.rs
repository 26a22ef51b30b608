//! `handshakes.conf`: a pace for handshakes of one address.

use std::net::Ipv4Addr;

use testkit::{Dial, Nginx, NginxOptions, PATIENCE, Request, token, until};

use crate::fixture::options;

/// Those that are let in at once. The shipped numbers would take seconds to be seen.
const BURST: usize = 5;

#[tokio::test]
async fn whoever_shakes_hands_too_often_is_told_to_wait_and_nobody_else_is() {
    let gateway = options().config("trusted_proxies = [\"127.0.0.1\"]").start().await;
    let choices =
        NginxOptions::shipped().with("include handshakes.conf;").with("include proxy-protocol.conf;");
    let choices = choices
        .replace("rate=20r/s", "rate=1r/s")
        .replace("burst=200 delay=100", &format!("burst={} nodelay", BURST - 1))
        .replace("set_real_ip_from 10.0.0.0/8;", "set_real_ip_from 127.0.0.1;");
    let nginx = choices.start([gateway.addr(); 3]).await;
    let (crowd, other) = (Ipv4Addr::new(127, 0, 5, 1), Ipv4Addr::new(127, 0, 5, 2));
    let from = |source: Ipv4Addr| Dial::to(nginx.addr()).from(source).bearer(&token("alice"));

    let (mut held, mut refused) = (Vec::new(), Vec::new());
    for _ in 0..3 * BURST {
        match from(crowd).open().await {
            Ok(client) => held.push(client),
            Err(refusal) => refused.push(refusal),
        }
    }
    assert!(held.len() >= BURST, "{} were let in", held.len());
    assert!(!refused.is_empty(), "of {} none was refused", 3 * BURST);
    for refusal in refused {
        assert_eq!(refusal.status, 429, "{}", refusal.text);
    }
    from(other).welcomed().await;
    // Who waits gets in.
    until(PATIENCE, "the next second", async || {
        from(crowd).open().await.map(drop).map_err(|refusal| refusal.text)
    })
    .await;
    log_has_the_refusals(&nginx);

    // Event streams are counted with sockets; what is no handshake is not counted.
    let answer = until(PATIENCE, "a stream to be refused", async || {
        let answer = Request::get("/v1/events?room=lobby").bearer(&token("alice"));
        // It has come to the gateway if the room may be read: a stream that goes on is no answer.
        let answer =
            tokio::time::timeout(std::time::Duration::from_millis(50), answer.try_send(nginx.addr())).await;
        match answer {
            Ok(Ok(answer)) if answer.status == 429 => Ok(answer),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    assert_eq!(answer.header("retry-after"), Some("5"));
    assert_eq!(answer.header("content-type"), Some("application/problem+json"));
    assert_eq!(
        (&answer.json()["code"], &answer.json()["retry_after_ms"]),
        (&"rate_limited".into(), &5000.into())
    );
    for _ in 0..3 * BURST {
        assert_eq!(Request::get("/healthz").send(nginx.addr()).await.status, 200);
    }
}

fn log_has_the_refusals(nginx: &Nginx) {
    assert!(nginx.access_log().contains("\"GET /ws HTTP/1.1\" 429"), "{}", nginx.access_log());
    assert!(!nginx.error_log().contains("limiting requests"), "{}", nginx.error_log());
}

#[tokio::test]
async fn of_ipv6_a_whole_64_is_one_address() {
    let gateway = options().config("trusted_proxies = [\"127.0.0.1\"]").start().await;
    let choices =
        NginxOptions::shipped().with("include handshakes.conf;").with("include proxy-protocol.conf;");
    let choices = choices
        .replace("rate=20r/s", "rate=1r/m")
        .replace("burst=200 delay=100", "nodelay")
        .replace("set_real_ip_from 10.0.0.0/8;", "set_real_ip_from 127.0.0.1;");
    let nginx = choices.start([gateway.addr(); 3]).await;
    let from = |client: &str| {
        let header = format!("PROXY TCP6 {client} ::1 40000 81\r\n");
        Dial::to(nginx.addr_of(81)).preface(header).bearer(&token("alice")).named(client)
    };
    // Bytes that are a line's end in text, too.
    from("2001:db8:0a0a:1::1").welcomed().await;
    assert_eq!(from("2001:db8:0a0a:1:ffff::0a0a").refused().await.status, 429);
    from("2001:db8:0a0a:2::1").welcomed().await;
}
