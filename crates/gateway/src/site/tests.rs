use std::io::Read;

use axum::body::{Body, to_bytes};
use flate2::read::GzDecoder;
use tower::ServiceExt;

use super::*;
use crate::http::tests::{Answer, call, state};

const PAGES: [&str; 3] = ["/", "/tester", "/cluster"];

async fn get(path: &str, headers: &[(&str, &str)]) -> Answer {
    call(router(&state(|_| ())), "GET", path, headers).await
}

fn names() -> Vec<String> {
    Built::iter().map(|name| name.to_string()).collect()
}

fn ending(name: &str) -> &str {
    name.rsplit_once('.').unwrap().1
}

#[tokio::test]
async fn every_file_is_served_as_what_it_is_and_sealed() {
    assert!(names().len() > PAGES.len());
    for name in names() {
        let answer = get(&path(&name), &[]).await;
        let there = Built::get(&name).unwrap();
        assert_eq!((answer.status, answer.text.as_bytes()), (200, &*there.data), "{name}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert_eq!(answer.header("referrer-policy"), "no-referrer");
        let policy = answer.header("content-security-policy");
        assert!(policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self';"), "{policy}");
        let kept =
            if name.starts_with("assets/") { "public, max-age=31536000, immutable" } else { "no-cache" };
        assert_eq!(answer.header("cache-control"), kept, "{name}");
        let kind = match ending(&name) {
            "html" => "text/html",
            "js" => "text/javascript",
            "css" => "text/css",
            _ => "image/svg+xml",
        };
        assert_eq!(answer.header("content-type").split(';').next(), Some(kind), "{name}");
    }
}

#[tokio::test]
async fn only_the_tester_connects_to_elsewhere() {
    for page in PAGES {
        let answer = get(page, &[]).await;
        let to =
            answer.header("content-security-policy").split("; ").find(|part| part.starts_with("connect-src"));
        let expected = if page == "/tester" { "connect-src 'self' ws: wss:" } else { "connect-src 'self'" };
        assert_eq!(to, Some(expected), "{page}");
    }
}

#[test]
fn the_pages_keep_to_their_policy() {
    for name in names().iter().filter(|name| ending(name) == "html") {
        let text = String::from_utf8(Built::get(name).unwrap().data.into_owned()).unwrap();
        for inline in ["<style", " style=", "javascript:", " onclick=", "http://", "https://", "data:"] {
            assert!(!text.contains(inline), "{name} has {inline}");
        }
        for script in text.split("<script").skip(1) {
            assert!(script.contains(" src=\"/") && script.contains("></script>"), "{name}: <script{script}");
        }
    }
}

#[tokio::test]
async fn who_has_a_file_is_not_given_it_again() {
    for path in PAGES {
        let tag = get(path, &[]).await.header("etag").to_owned();
        for known in [&*tag, &format!("W/{tag}"), &format!("\"x\", {tag}"), "*"] {
            let answer = get(path, &[("if-none-match", known)]).await;
            assert_eq!((answer.status, &*answer.text), (304, ""), "{known}");
            assert_eq!(answer.header("etag"), tag);
            assert!(!answer.header("content-security-policy").is_empty());
        }
        assert_eq!(get(path, &[("if-none-match", "\"x\"")]).await.status, 200);
    }
}

#[tokio::test]
async fn what_is_large_is_compressed_for_who_takes_it() {
    let router = router(&state(|_| ()));
    let script = names().into_iter().max_by_key(|name| Built::get(name).unwrap().data.len()).unwrap();
    for (takes, packed) in [
        ("gzip, deflate, br", true),
        ("br;q=1.0, GZIP;q=0.5", true),
        ("gzip;q=0", false),
        ("gzip; q=0.0", false),
        ("br", false),
        ("identity", false),
    ] {
        let request = axum::http::Request::get(path(&script)).header("accept-encoding", takes);
        let response = router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        let headers = response.headers().clone();
        assert_eq!(headers.get("content-encoding").is_some(), packed, "{takes}");
        assert_eq!(headers["vary"], "accept-encoding");
        let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
        let there = Built::get(&script).unwrap().data;
        if packed {
            assert!(body.len() * 2 < there.len(), "{} of {}", body.len(), there.len());
            let mut text = Vec::new();
            GzDecoder::new(&*body).read_to_end(&mut text).unwrap();
            assert!(text == *there);
            assert!(headers["etag"].to_str().unwrap().ends_with("-gz\""));
        } else {
            assert!(body == *there);
        }
    }
}

#[tokio::test]
async fn pages_are_there_with_a_key_and_without_and_not_when_they_are_not_wanted() {
    for path in PAGES {
        let development = state(|config| config.auth.jwt_secret = None);
        assert_eq!(call(router(&development), "GET", path, &[]).await.status, 200);
        let unwanted = state(|config| config.pages = false);
        assert_eq!(call(router(&unwanted), "GET", path, &[]).await.status, 404);
    }
    assert_eq!(
        call(router(&state(|config| config.pages = false)), "GET", "/site.json", &[]).await.status,
        404
    );
    for path in ["/index.html", "/tester.html", "/assets/", "/assets/none.js", "/../Cargo.toml"] {
        assert_eq!(get(path, &[]).await.status, 404, "{path}");
    }
}

#[tokio::test]
async fn the_pages_are_told_whether_guests_come_in() {
    for (development, told) in [(true, r#"{"guests":true}"#), (false, r#"{"guests":false}"#)] {
        let state = state(|config| {
            if development {
                config.auth.jwt_secret = None;
            }
        });
        let answer = call(router(&state), "GET", "/site.json", &[]).await;
        assert_eq!((answer.status, &*answer.text, answer.header("cache-control")), (200, told, "no-store"));
    }
}
