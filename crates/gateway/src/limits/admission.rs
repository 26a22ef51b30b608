//! Who may connect: so many on the node, so many from one address, so many in a second.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::Arc,
};

use parking_lot::Mutex;
use tokio::time::Instant;

use super::{Bucket, Refusal};
use crate::config::{InForce, LimitsConfig};

/// The door. Cloning gives another handle on the same one.
#[derive(Clone)]
pub struct Admission(Arc<Door>);

struct Door {
    state: Mutex<State>,
}

struct State {
    accepts: Bucket,
    connections: usize,
    /// Has no entry without a connection, so it is no larger than their limit.
    by_address: HashMap<IpAddr, usize>,
}

/// A connection's place; dropping it gives it back.
pub struct Permit {
    door: Arc<Door>,
    address: IpAddr,
}

impl Admission {
    /// Takes a place for a connection from `address` by the limits of now, or says why there is none. Those who are inside
    /// stay when the limits become narrower.
    pub fn admit(&self, address: IpAddr, limits: &LimitsConfig) -> Result<Permit, Refusal> {
        let LimitsConfig { connections, connections_per_address, accepts_per_second, .. } = limits;
        self.take(address, *connections, *connections_per_address, *accepts_per_second)
    }

    fn take(
        &self,
        address: IpAddr,
        connections: usize,
        per_address: usize,
        per_second: u32,
    ) -> Result<Permit, Refusal> {
        let address = group(address);
        let mut state = self.0.state.lock();
        if state.connections >= connections {
            return Err(Refusal::Node);
        }
        // An address that has its share must not use up the others' rate, so that is asked last.
        if state.by_address.get(&address).is_some_and(|count| *count >= per_address) {
            return Err(Refusal::Address);
        }
        let now = Instant::now();
        state.accepts.adapt(per_second, per_second, now);
        state.accepts.take(1, now).map_err(|_| Refusal::Rate)?;
        state.connections += 1;
        *state.by_address.entry(address).or_default() += 1;
        drop(state);
        Ok(Permit { door: self.0.clone(), address })
    }
}

impl Default for Admission {
    /// A door with nobody inside.
    fn default() -> Self {
        // The first who comes brings the rate.
        let accepts = Bucket::new(1, 1, Instant::now());
        Self(Arc::new(Door {
            state: Mutex::new(State { accepts, connections: 0, by_address: HashMap::new() }),
        }))
    }
}

/// The place of connections that are no WebSockets, or not yet: who connects and says nothing has a file descriptor
/// until its deadline, and would have them all without a limit.
#[derive(Clone)]
pub struct Lobby {
    admission: Admission,
    config: Arc<InForce>,
}

/// Requests that may be under way from one address whatever its limit of WebSockets is: a place in here is given back a
/// moment after the handshake is answered.
const REQUESTS: usize = 64;

impl Lobby {
    /// As many as there may be WebSockets, on the node and from an address; any number in a second.
    pub fn new(config: Arc<InForce>) -> Self {
        Self { admission: Admission::default(), config }
    }

    /// Takes a place for a connection from `address`, or says why there is none; a trusted proxy needs none, for everybody
    /// comes from its address.
    pub fn admit(&self, address: IpAddr) -> Result<Option<Permit>, Refusal> {
        let (config, address) = (self.config.now(), address.to_canonical());
        if config.trusted_proxies.iter().any(|network| network.contains(&address)) {
            return Ok(None);
        }
        let most = config.limits.connections.max(REQUESTS);
        let per_address = config.limits.connections_per_address.max(REQUESTS);
        self.admission.take(address, most, per_address, u32::MAX).map(Some)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut state = self.door.state.lock();
        state.connections -= 1;
        if let Some(count) = state.by_address.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                state.by_address.remove(&self.address);
            }
        }
        // After a crowd has left, its memory is given back; not at every step, for shrinking moves
        // everything.
        let (length, capacity) = (state.by_address.len(), state.by_address.capacity());
        if capacity > 1024 && length < capacity / 8 {
            state.by_address.shrink_to(length * 2);
        }
    }
}

/// What counts as one address: of IPv6 the /64, which is what one customer gets.
fn group(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & (u128::MAX << 64)).into(),
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::Config;

    /// A door and what holds there.
    struct Gate(Admission, LimitsConfig);

    impl Gate {
        fn admit(&self, address: IpAddr) -> Result<Permit, Refusal> {
            self.0.admit(address, &self.1)
        }
    }

    fn door(connections: usize, connections_per_address: usize, accepts_per_second: u32) -> Gate {
        let limits = LimitsConfig {
            connections,
            connections_per_address,
            accepts_per_second,
            ..LimitsConfig::default()
        };
        Gate(Admission::default(), limits)
    }

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn refused(result: Result<Permit, Refusal>) -> Option<Refusal> {
        result.err()
    }

    #[test]
    fn the_node_is_full_until_somebody_leaves() {
        let door = door(2, 10, 100);
        let first = door.admit(address("1.1.1.1")).unwrap();
        let _second = door.admit(address("2.2.2.2")).unwrap();
        assert_eq!(refused(door.admit(address("3.3.3.3"))), Some(Refusal::Node));
        drop(first);
        assert_eq!(refused(door.admit(address("3.3.3.3"))), None);
    }

    #[test]
    fn an_address_has_its_share_and_no_more() {
        let door = door(100, 2, 100);
        let places: Vec<_> = ["1.1.1.1", "::ffff:1.1.1.1", "2001:db8::1", "2001:db8::2:0:0:1"]
            .map(|text| door.admit(address(text)).unwrap())
            .into();
        assert_eq!(refused(door.admit(address("1.1.1.1"))), Some(Refusal::Address));
        assert_eq!(refused(door.admit(address("2001:db8::3"))), Some(Refusal::Address));
        assert_eq!(refused(door.admit(address("2001:db8:0:1::1"))), None);
        assert_eq!(refused(door.admit(address("1.1.1.2"))), None);
        drop(places);
        assert_eq!(refused(door.admit(address("1.1.1.1"))), None);
        assert!(door.0.0.state.lock().by_address.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn so_many_in_a_second() {
        let door = door(100, 100, 10);
        let places: Vec<_> = (0..10).map(|_| door.admit(address("1.1.1.1")).unwrap()).collect();
        assert_eq!(refused(door.admit(address("1.1.1.1"))), Some(Refusal::Rate));
        assert_eq!(door.0.0.state.lock().connections, 10, "a refusal takes no place");
        tokio::time::advance(Duration::from_millis(100)).await;
        assert_eq!(refused(door.admit(address("1.1.1.1"))), None);
        drop(places);
    }

    #[tokio::test(start_paused = true)]
    async fn limits_may_change_while_somebody_is_inside() {
        let mut door = door(2, 10, 100);
        let _inside = [door.admit(address("1.1.1.1")).unwrap(), door.admit(address("1.1.1.1")).unwrap()];
        door.1.connections = 1;
        assert_eq!(refused(door.admit(address("2.2.2.2"))), Some(Refusal::Node));
        door.1.connections = 10;
        door.1.connections_per_address = 2;
        assert_eq!(refused(door.admit(address("1.1.1.1"))), Some(Refusal::Address));
        door.1.accepts_per_second = 1;
        assert_eq!(refused(door.admit(address("2.2.2.2"))), None);
        assert_eq!(refused(door.admit(address("3.3.3.3"))), Some(Refusal::Rate));
    }

    #[test]
    fn a_crowd_leaves_no_memory_behind() {
        let door = door(100_000, 1, 1_000_000);
        let crowd: Vec<_> = (0..50_000).map(|n| door.admit(IpAddr::V4(n.into())).unwrap()).collect();
        drop(crowd);
        let state = door.0.0.state.lock();
        assert_eq!((state.connections, state.by_address.len()), (0, 0));
        assert!(state.by_address.capacity() <= 1024, "{}", state.by_address.capacity());
    }

    #[test]
    fn a_trusted_proxy_needs_no_place_in_the_lobby() {
        let mut config = Config { trusted_proxies: vec!["10.0.0.0/8".parse().unwrap()], ..Config::default() };
        config.limits.connections_per_address = 1;
        let lobby = Lobby::new(Arc::new(config.into()));
        let admit = |text: &str| (0..=REQUESTS).map(|_| lobby.admit(address(text))).collect::<Vec<_>>();
        let strangers = admit("1.1.1.1");
        assert!(strangers[..REQUESTS].iter().all(|place| matches!(place, Ok(Some(_)))));
        assert!(matches!(strangers[REQUESTS], Err(Refusal::Address)));
        assert!(admit("::ffff:10.1.2.3").iter().all(|place| matches!(place, Ok(None))));
    }
}
