use super::*;
use crate::http::tests::{Answer, call, state};

fn development() -> HttpState {
    state(|config| config.auth.jwt_secret = None)
}

async fn get(path: &str, headers: &[(&str, &str)]) -> Answer {
    call(router(development()), "GET", path, headers).await
}

const HERE: (&str, &str) = ("host", "127.0.0.1:8080");

#[tokio::test]
async fn a_guest_gets_a_token() {
    let state = development();
    let answer = call(router(state.clone()), "GET", "/dev/token?user=anna-x1&name=Anna%20B", &[HERE]).await;
    assert_eq!((answer.status, answer.header("cache-control")), (200, "no-store"), "{}", answer.text);
    let json = answer.json();
    assert_eq!((&json["user"], &json["expires_in_ms"]), (&"anna-x1".into(), &3_600_000.into()));
    let identity = state.auth.verify(json["token"].as_str().unwrap()).await.unwrap();
    assert_eq!((identity.user.as_str(), identity.name.as_deref()), ("anna-x1", Some("Anna B")));
}

#[tokio::test]
async fn a_guest_needs_a_proper_name() {
    let long = format!("/dev/token?user=a&name={}", "n".repeat(129));
    for path in
        ["/dev/token", "/dev/token?user=", "/dev/token?user=a%20b", "/dev/token?user=a&name=%00", &long]
    {
        assert_eq!(get(path, &[HERE]).await.status, 400, "{path}");
    }
    assert_eq!(get("/dev/token?user=a&name=", &[HERE]).await.status, 200);
}

#[tokio::test]
async fn only_this_machine_is_served() {
    for host in ["localhost", "LOCALHOST:8080", "127.0.0.1", "127.9.9.9:1", "[::1]", "[::1]:8080"] {
        assert_eq!(get("/dev/token?user=a", &[("host", host)]).await.status, 200, "{host}");
    }
    for host in [
        "evil.example",
        "evil.example:8080",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "192.168.1.2:8080",
        "0.0.0.0",
        "[::]",
        "127.1",
        "127.0.0.1:x",
        "",
    ] {
        let answer = get("/dev/token?user=a", &[("host", host)]).await;
        assert_eq!(
            (answer.status, answer.header("content-type")),
            (403, "application/problem+json"),
            "{host}"
        );
        assert!(answer.json()["detail"].as_str().unwrap().contains("CHORUS_JWT_SECRET"));
    }
    assert_eq!(get("/dev/token?user=a", &[]).await.status, 403);
    assert_eq!(get("/dev/token?user=a", &[HERE, ("host", "evil.example")]).await.status, 403);
}

#[tokio::test]
async fn nothing_that_a_proxy_passed_on_is_served() {
    for header in
        ["forwarded", "via", "x-real-ip", "x-forwarded-for", "x-forwarded-proto", "X-Forwarded-Host"]
    {
        let answer = get("/dev/token?user=a", &[HERE, (header, "x")]).await;
        assert_eq!(answer.status, 403, "{header}");
        assert!(answer.text.contains("proxy"), "{}", answer.text);
    }
}

#[tokio::test]
async fn elsewhere_than_in_development_there_are_no_guests() {
    assert_eq!(call(router(state(|_| ())), "GET", "/dev/token?user=a", &[HERE]).await.status, 404);
}
