//! Development mode: no configuration, guests, the page; and its fences.

use serde_json::json;
use testkit::{Dial, Gateway, GatewayOptions, Request};

use crate::fixture::{chorus, options};

async fn bare() -> Gateway {
    GatewayOptions::bare(chorus()).start().await
}

#[tokio::test]
async fn without_configuration_it_prints_the_url_and_guests_can_chat() {
    let gateway = bare().await;
    let url = format!("http://{}/", gateway.addr());
    assert!(gateway.stdout().contains(&url), "stdout: {:?}", gateway.stdout());

    let mut guests = Vec::new();
    for user in ["alice", "bob"] {
        let path = format!("/dev/token?user={user}&name=The%20{user}");
        let response = Request::get(path).send(gateway.addr()).await;
        assert_eq!(response.status, 200, "{response:?}");
        let body = response.json();
        assert_eq!(body["user"], user);
        assert!(body["expires_in_ms"].as_u64().is_some_and(|ms| ms > 0), "{body}");
        let mut guest = Dial::to(gateway.addr()).authenticated(body["token"].as_str().unwrap()).await;
        guest.join("lobby").await;
        guests.push(guest);
    }
    guests[0].say("lobby", json!({ "text": "hello" })).await;
    let heard = guests[1].expect("message").await;
    assert_eq!((&heard["from"], &heard["name"]), (&json!("alice"), &json!("The alice")));
}

/// What the page at `/` loads by itself.
fn loads(page: &str) -> Vec<String> {
    let attributes = ["src=\"", "href=\""].into_iter().flat_map(|start| page.split(start).skip(1));
    attributes.map(|rest| rest.split('"').next().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn the_pages_come_with_all_they_load_and_a_strict_policy() {
    let gateway = bare().await;
    for path in ["/", "/tester", "/cluster"] {
        let page = Request::get(path).send(gateway.addr()).await;
        assert_eq!(
            (page.status, page.header("content-type")),
            (200, Some("text/html; charset=utf-8")),
            "{path}"
        );
        let policy = page.header("content-security-policy").expect("a policy");
        assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
        let loads = loads(&page.body);
        for kind in ["js", "css"] {
            let ending = |file: &String| file.rsplit_once('.').is_some_and(|(_, ending)| ending == kind);
            assert!(loads.iter().any(ending), "{path} loads no {kind}: {loads:?}");
        }
        for file in loads {
            let answer = Request::get(&file).send(gateway.addr()).await;
            assert_eq!(
                (answer.status, answer.header("x-content-type-options")),
                (200, Some("nosniff")),
                "{file}"
            );
        }
    }
}

#[tokio::test]
async fn guests_come_only_from_this_machine() {
    let gateway = bare().await;
    let ask = || Request::get("/dev/token?user=alice");
    let refused = [
        // DNS rebinding: a foreign name that resolves to loopback.
        ask().header("Host", "evil.example"),
        ask().header("Host", format!("127.0.0.1.evil.example:{}", gateway.addr().port())),
        // A proxy makes loopback public.
        ask().header("X-Forwarded-For", "192.0.2.1"),
        ask().header("X-Forwarded-Host", "chat.example"),
        ask().header("X-Forwarded-Proto", "https"),
        ask().header("X-Real-IP", "192.0.2.1"),
        ask().header("Forwarded", "for=192.0.2.1"),
        ask().header("Via", "1.1 proxy"),
    ];
    for request in refused {
        let shown = format!("{request:?}");
        let response = request.send(gateway.addr()).await;
        assert_eq!(response.status, 403, "{shown}: {response:?}");
        assert!(!response.body.contains("eyJ"), "{shown}: a token was handed out");
    }
    for host in ["localhost", "127.0.0.1", "[::1]"] {
        let host = format!("{host}:{}", gateway.addr().port());
        assert_eq!(ask().header("Host", host.as_str()).send(gateway.addr()).await.status, 200, "{host}");
    }
    for bad in ["/dev/token", "/dev/token?user=", "/dev/token?user=two%20words"] {
        assert_eq!(Request::get(bad).send(gateway.addr()).await.status, 400, "{bad}");
    }
}

#[tokio::test]
async fn development_mode_listens_on_loopback_only() {
    for listen in ["0.0.0.0:0", "[::]:0", "192.0.2.1:8080"] {
        let output = GatewayOptions::bare(chorus()).listen(listen).run().await;
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{listen}: {stderr}");
        assert_eq!(stderr.trim_end().lines().count(), 1, "{stderr}");
        assert!(stderr.contains("listen") && stderr.contains(listen), "{stderr}");
    }
}

#[tokio::test]
async fn with_a_key_there_are_no_guests_but_the_pages_unless_they_are_not_wanted() {
    let gateway = options().start().await;
    assert_eq!(Request::get("/dev/token?user=alice").send(gateway.addr()).await.status, 404);
    let without = options().env("CHORUS_PAGES", "false").start().await;
    for path in ["/", "/tester", "/cluster"] {
        assert_eq!(Request::get(path).send(gateway.addr()).await.status, 200, "{path}");
        assert_eq!(Request::get(path).send(without.addr()).await.status, 404, "{path}");
    }
    assert!(!gateway.stdout().contains("http://"), "{}", gateway.stdout());
}

#[tokio::test]
async fn every_start_has_a_key_of_its_own() {
    let (first, second) = (bare().await, bare().await);
    let body = Request::get("/dev/token?user=alice").send(first.addr()).await.json();
    let token = body["token"].as_str().unwrap();
    Dial::to(first.addr()).bearer(token).welcomed().await;
    assert_eq!(Dial::to(second.addr()).bearer(token).closed().await.reason, "auth_failed");
}
