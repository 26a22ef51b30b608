//! Addresses of proxies: networks, and single addresses without a prefix length.

use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Deserializer, de};

/// Reads a list of networks.
pub(super) fn list<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<IpNet>, D::Error> {
    let texts = Vec::<String>::deserialize(deserializer)?;
    texts.iter().map(|text| parse(text).ok_or_else(|| de::Error::custom("not a network"))).collect()
}

/// An address alone is a network of one.
fn parse(text: &str) -> Option<IpNet> {
    text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_networks() {
        let show = |text| parse(text).map(|network| network.to_string());
        assert_eq!(show("10.0.0.0/8").as_deref(), Some("10.0.0.0/8"));
        assert_eq!(show("10.1.2.3").as_deref(), Some("10.1.2.3/32"));
        assert_eq!(show("::1").as_deref(), Some("::1/128"));
        for bad in ["", "10.0.0.0/33", "proxy.local", "10.0.0.0/"] {
            assert_eq!(show(bad), None, "{bad}");
        }
    }
}
