//! The client's address behind proxies.

use std::net::{IpAddr, SocketAddr};

use axum::http::HeaderMap;
use ipnet::IpNet;

const FORWARDED_FOR: &str = "x-forwarded-for";

/// The rightmost address that is not a trusted proxy's.
///
/// Each proxy appends the address that it was called from, so everything to the left of the first stranger is
/// whatever that stranger wrote. An entry that is no address ends the search, too: the last good one stands.
pub fn client_address(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    let is_trusted = |address: IpAddr| trusted.iter().any(|network| network.contains(&address));
    let mut client = peer.to_canonical();
    let lines = headers.get_all(FORWARDED_FOR).iter().rev();
    let mut entries = lines.flat_map(|line| line.to_str().unwrap_or_default().rsplit(','));
    while is_trusted(client) {
        match entries.next().and_then(parse) {
            Some(address) => client = address,
            None => break,
        }
    }
    client
}

/// An address, also in brackets or with a port, as some proxies write it.
fn parse(entry: &str) -> Option<IpAddr> {
    let entry = entry.trim();
    let bare = entry.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(entry);
    let address = bare.parse().or_else(|_| entry.parse::<SocketAddr>().map(|socket| socket.ip()));
    address.ok().map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn client(peer: &str, lines: &[&str]) -> String {
        let trusted = ["10.0.0.0/8", "127.0.0.1/32", "fd00::/8"].map(|text| text.parse().unwrap());
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(FORWARDED_FOR, HeaderValue::from_bytes(line.as_bytes()).unwrap());
        }
        client_address(peer.parse().unwrap(), &headers, &trusted).to_string()
    }

    #[test]
    fn the_rightmost_stranger() {
        for (peer, lines, expected) in [
            ("203.0.113.9", &[][..], "203.0.113.9"),
            // A stranger's header is nothing but a claim.
            ("203.0.113.9", &["1.2.3.4"][..], "203.0.113.9"),
            ("10.0.0.1", &["1.2.3.4"][..], "1.2.3.4"),
            ("10.0.0.1", &["6.6.6.6, 1.2.3.4"][..], "1.2.3.4"),
            ("10.0.0.1", &["6.6.6.6, 1.2.3.4, 10.0.0.2"][..], "1.2.3.4"),
            ("10.0.0.1", &["6.6.6.6", "1.2.3.4, 10.0.0.2", "10.0.0.3"][..], "1.2.3.4"),
            // Everybody is a proxy: then the first of them is the client.
            ("10.0.0.1", &["10.0.0.3, 10.0.0.2"][..], "10.0.0.3"),
            ("10.0.0.1", &[][..], "10.0.0.1"),
            // What can't be read ends the search.
            ("10.0.0.1", &["1.2.3.4, unknown"][..], "10.0.0.1"),
            ("10.0.0.1", &["1.2.3.4, , 10.0.0.2"][..], "10.0.0.2"),
            ("10.0.0.1", &["\u{80}"][..], "10.0.0.1"),
            // Ports, brackets, and IPv4 in IPv6's clothes.
            ("127.0.0.1", &["1.2.3.4:5678"][..], "1.2.3.4"),
            ("127.0.0.1", &["[2001:db8::1]:5678"][..], "2001:db8::1"),
            ("127.0.0.1", &["[2001:db8::1]"][..], "2001:db8::1"),
            ("fd00::1", &["2001:db8::1"][..], "2001:db8::1"),
            ("::ffff:10.0.0.1", &["::ffff:1.2.3.4"][..], "1.2.3.4"),
            ("::ffff:1.2.3.4", &[][..], "1.2.3.4"),
        ] {
            assert_eq!(client(peer, lines), expected, "{peer} {lines:?}");
        }
    }
}
