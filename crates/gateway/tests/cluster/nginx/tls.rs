//! `tls.conf`: what is spoken, and what is not.

use std::net::SocketAddr;
use std::process::{Command, Output};

use testkit::{Certificates, NginxOptions};

use crate::fixture::options;

#[tokio::test]
async fn pages_come_by_http_2_and_sockets_by_http_1_1_over_tls_1_3() {
    let (gateway, certificates) = (options().start().await, Certificates::new());
    let nginx = NginxOptions::shipped().tls(&certificates).start([gateway.addr(); 3]).await;
    let (plain, secure) = (nginx.addr(), nginx.addr_of(443));
    let ask = |arguments: &[&str], url: String| {
        let ca = certificates.file("ca.pem");
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--show-error", "--verbose", "--max-time", "20", "--cacert"]).arg(ca);
        let output = curl.args(arguments).arg(url).output().expect("curl runs");
        (String::from_utf8_lossy(&output.stderr).into_owned(), output)
    };
    let page = |arguments: &[&str]| {
        ask(
            &[&["--output", "/dev/null", "--write-out", "%{http_version} %{http_code}"], arguments].concat(),
            at(secure, "/"),
        )
    };

    // Both sides take the best that they have.
    let (story, output) = page(&[]);
    assert_eq!(text(&output), "2 200", "{story}");
    assert!(story.contains("SSL connection using TLSv1.3"), "{story}");
    assert!(story.to_ascii_lowercase().contains("strict-transport-security: max-age="), "{story}");
    // Older clients may have the version before, with a key of the connection's own and authenticated encryption.
    let (story, output) = page(&["--tls-max", "1.2"]);
    assert_eq!(text(&output), "2 200", "{story}");
    assert!(story.contains("SSL connection using TLSv1.2 / ECDHE-"), "{story}");
    for cipher in ["ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-CHACHA20-POLY1305"] {
        let (story, output) = page(&["--tls-max", "1.2", "--ciphers", cipher]);
        assert!(output.status.success(), "{cipher}: {story}");
    }
    for refused in [
        ["--tlsv1.0", "--tls-max", "1.1", "--ciphers", "ALL:@SECLEVEL=0"],
        ["--tlsv1.2", "--tls-max", "1.2", "--ciphers", "ECDHE-ECDSA-AES128-SHA256"],
    ] {
        let (story, output) = page(&refused);
        assert_eq!(output.status.code(), Some(35), "a failed handshake: {story}");
        assert!(story.contains("alert"), "it is nginx that refuses: {story}");
    }

    // A WebSocket asks for HTTP/1.1, as browsers do. This one is closed by the gateway for its token.
    let upgrade = [
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    ];
    let mut arguments = vec!["--http1.1", "--output", "-"];
    arguments.extend(upgrade.iter().flat_map(|header| ["--header", header]));
    let (story, output) = ask(&arguments, at(secure, "/ws?token=none"));
    assert!(story.contains("HTTP/1.1 101 "), "{story}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("auth_failed"), "{output:?}");

    let (story, _) = ask(&["--head"], format!("http://{plain}/tester?a=b"));
    assert!(story.contains("308 "), "{story}");
    assert!(story.contains("Location: https://127.0.0.1/tester?a=b"), "{story}");
}

fn at(addr: SocketAddr, path: &str) -> String {
    format!("https://{addr}{path}")
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}
