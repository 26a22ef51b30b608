//! `proxy-protocol.conf`: the gateway's limits of an address are those of the client's own.

use std::net::Ipv4Addr;

use testkit::{Client, Dial, NginxOptions, Request, token};

use crate::fixture::options;

#[tokio::test]
async fn each_client_behind_a_balancer_has_its_own_address() {
    let config = "trusted_proxies = [\"127.0.0.1\"]\n[limits]\nconnections_per_address = 1\n";
    let gateway = options().config(config).start().await;
    let (balancer, stranger) = (Ipv4Addr::new(127, 0, 5, 1), Ipv4Addr::new(127, 0, 6, 1));
    let choices = NginxOptions::shipped().with("include proxy-protocol.conf;");
    let choices = choices.replace("set_real_ip_from 10.0.0.0/8;", "set_real_ip_from 127.0.5.1;");
    let nginx = choices.start([gateway.addr(); 3]).await;
    let from = |by: Ipv4Addr, client: &str| {
        let family = if client.contains(':') { 6 } else { 4 };
        let own = if family == 6 { "::1" } else { "127.0.0.1" };
        let header = format!("PROXY TCP{family} {client} {own} 40000 81\r\n");
        Dial::to(nginx.addr_of(81)).from(by).preface(header).bearer(&token("alice")).named(client)
    };

    let mut held: Vec<Client> = Vec::new();
    for client in ["192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8:0:1::1"] {
        held.push(from(balancer, client).welcomed().await);
    }
    for again in ["192.0.2.1", "2001:db8::2"] {
        assert_eq!(from(balancer, again).closed().await.reason, "overloaded", "{again}");
    }
    // What a client writes itself counts for nothing.
    let forged = from(balancer, "192.0.2.2").header("X-Forwarded-For", "203.0.113.9");
    assert_eq!(forged.closed().await.reason, "overloaded");
    // Neither does what the header says, if it is not the balancer who says it.
    held.push(from(stranger, "192.0.2.7").welcomed().await);
    assert_eq!(from(stranger, "192.0.2.8").closed().await.reason, "overloaded");

    // On that port everybody has to say it, and on the other nobody.
    let bare = Dial::to(nginx.addr_of(81)).from(balancer).bearer(&token("alice"));
    assert_eq!(bare.refused().await.status, 0, "closed without an answer");
    assert_eq!(Request::get("/healthz").send(nginx.addr()).await.status, 200);
}
