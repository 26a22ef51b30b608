//! How clients are spread, counted. What is behind nginx here counts handshakes and holds them: no gateway is needed to
//! see where nginx sends them.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr};

use testkit::{Nginx, NginxOptions, PATIENCE, within};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

const CLIENTS: usize = 10_000;
/// Connections that are there at the same time; whoever comes then takes the place of the oldest.
const HELD: usize = 2_000;
/// Those that connect at the same time.
const LANES: usize = 40;
/// Those who come back, to see who goes elsewhere.
const RETURNING: usize = 1_000;

/// Where clients come from.
#[derive(Clone, Copy)]
enum From {
    /// 254 addresses.
    OneNetwork,
    /// As behind a NAT.
    OneAddress,
    /// As many /24s as there are clients, behind a balancer that speaks the PROXY protocol.
    Everywhere,
}

/// One client's connection.
struct Held {
    node: usize,
    cookie: Option<String>,
    _stream: BufReader<TcpStream>,
}

/// Clients in percent by gateway.
struct Shares([f64; 3]);

impl Shares {
    /// Whether each gateway got a third, or at most so many percent more or less.
    fn are_even_within(&self, percent: f64) -> bool {
        self.0.iter().all(|share| (share - 100.0 / 3.0).abs() <= percent)
    }
}

#[tokio::test]
async fn ten_thousand_clients_are_spread_as_the_readme_says() {
    let nodes = nodes().await;
    let mut table =
        String::from("| upstream | 10,000 clients of | 1st | 2nd | 3rd |\n| --- | --- | --: | --: | --: |\n");
    let mut row = |how: &str, whose: &str, Shares([one, two, three]): &Shares| {
        writeln!(table, "| `{how}` | {whose} | {one:.1} % | {two:.1} % | {three:.1} % |").unwrap();
    };

    let nginx = ip_hash().start(nodes).await;
    for (from, whose) in [(From::OneNetwork, "one /24"), (From::OneAddress, "one address")] {
        let shares = spread(&nginx, from).await;
        row("ip_hash", whose, &shares);
        assert!(shares.0.contains(&100.0), "ip_hash sends {whose} to one gateway: {:?}", shares.0);
    }
    let shares = spread(&nginx, From::Everywhere).await;
    row("ip_hash", "10,000 /24s, by the PROXY protocol", &shares);
    assert!(shares.are_even_within(3.0), "{:?}", shares.0);

    for (how, options, percent) in [
        // A consistent hash cuts a circle at 160 places for each gateway, so that its shares are not quite even.
        ("hash $sticky consistent", sticky(), 12.0),
        ("least_conn", NginxOptions::shipped().without("ip_hash;").with("least_conn;"), 3.0),
    ] {
        let nginx = options.start(nodes).await;
        for (from, whose) in [(From::OneNetwork, "one /24"), (From::OneAddress, "one address")] {
            let shares = spread(&nginx, from).await;
            row(how, whose, &shares);
            assert!(shares.are_even_within(percent), "{how}, {whose}: {:?}", shares.0);
        }
    }
    println!("\n{table}");
}

#[tokio::test]
async fn a_cookie_brings_a_client_back_and_the_fewest_move_when_a_gateway_goes() {
    let nodes = nodes().await;
    let line = format!("server {} max_fails=3 fail_timeout=3s;", nodes[2]);
    let down = line.replace(';', " down;");
    let mut table =
        String::from("| upstream | 3rd gateway | had been there | moved |\n| --- | --- | --: | --: |\n");
    let mut moves = BTreeMap::new();
    for (how, options, gone, to) in [
        ("ip_hash", ip_hash(), "removed from the list", ""),
        ("ip_hash", ip_hash(), "marked `down`", &*down),
        ("hash $sticky consistent", sticky(), "removed from the list", ""),
    ] {
        let nginx = options.start(nodes).await;
        let before = come(&nginx, &BTreeMap::new()).await;
        let again = come(&nginx, &before).await;
        let same = |(client, held): (&usize, &Held)| before[client].node == held.node;
        assert!(again.iter().all(same), "{how}: all come back to where they were");
        nginx.edit("upstream.conf", &line, to);
        nginx.reload().await;
        let after = come(&nginx, &before).await;
        let was_there = before.values().filter(|held| held.node == 2).count();
        let moved = after.iter().filter(|(client, held)| before[client].node != held.node).count();
        let percent = |count: usize| 100.0 * count as f64 / RETURNING as f64;
        writeln!(table, "| `{how}` | {gone} | {:.1} % | {:.1} % |", percent(was_there), percent(moved))
            .unwrap();
        moves.insert((how, gone), (was_there, moved));
    }
    println!("\n{table}");
    let (was_there, moved) = moves[&("ip_hash", "removed from the list")];
    assert!(moved > was_there * 3 / 2, "{moved} moved, {was_there} had to");
    for only in [("ip_hash", "marked `down`"), ("hash $sticky consistent", "removed from the list")] {
        let (was_there, moved) = moves[&only];
        assert_eq!(moved, was_there, "{only:?}: whose gateway stays, stays");
    }
}

fn ip_hash() -> NginxOptions {
    let options = NginxOptions::shipped().with("include proxy-protocol.conf;");
    options.replace("set_real_ip_from 10.0.0.0/8;", "set_real_ip_from 127.0.0.1;")
}

/// With the port for the PROXY protocol too, so that whoever comes can come in the same way.
fn sticky() -> NginxOptions {
    ip_hash().without("ip_hash;").with("hash $sticky consistent;").with("include sticky.conf;")
}

/// Each of [`RETURNING`] networks connects, with the cookie that it was given `before`.
async fn come(nginx: &Nginx, before: &BTreeMap<usize, Held>) -> BTreeMap<usize, Held> {
    let mut held = BTreeMap::new();
    for number in 0..RETURNING {
        let cookie = before.get(&number).and_then(|held| held.cookie.as_deref());
        let mut client = knock(nginx, From::Everywhere, number, cookie).await;
        // Whoever brought one is not given another.
        client.cookie = client.cookie.or_else(|| cookie.map(str::to_owned));
        held.insert(number, client);
    }
    held
}

async fn spread(nginx: &Nginx, from: From) -> Shares {
    let lane = async |first: usize| {
        let (mut held, mut counts) = (VecDeque::new(), [0_usize; 3]);
        for number in (first..CLIENTS).step_by(LANES) {
            if held.len() == HELD / LANES {
                held.pop_front();
            }
            let client = knock(nginx, from, number, None).await;
            counts[client.node] += 1;
            held.push_back(client);
        }
        counts
    };
    let mut counts = [0_usize; 3];
    for lane in futures_util::future::join_all((0..LANES).map(lane)).await {
        for (count, more) in counts.iter_mut().zip(lane) {
            *count += more;
        }
    }
    assert_eq!(counts.iter().sum::<usize>(), CLIENTS);
    Shares(counts.map(|count| 100.0 * count as f64 / CLIENTS as f64))
}

/// Shakes hands, and sees where it has got to.
async fn knock(nginx: &Nginx, from: From, number: usize, cookie: Option<&str>) -> Held {
    let [.., high, low] = u32::try_from(number).unwrap().to_be_bytes();
    let (source, to, mut request) = match from {
        From::OneNetwork => (Ipv4Addr::new(127, 0, 7, 1 + (number % 254) as u8), nginx.addr(), String::new()),
        From::OneAddress => (Ipv4Addr::new(127, 0, 8, 1), nginx.addr(), String::new()),
        From::Everywhere => {
            let header = format!("PROXY TCP4 20.{high}.{low}.9 127.0.0.1 40000 81\r\n");
            (Ipv4Addr::LOCALHOST, nginx.addr_of(81), header)
        }
    };
    request.push_str("GET /ws HTTP/1.1\r\nHost: chat\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n");
    if let Some(cookie) = cookie {
        write!(request, "Cookie: {cookie}\r\n").unwrap();
    }
    request.push_str("\r\n");
    let answered = async {
        let socket = TcpSocket::new_v4()?;
        // Its end is a reset: nothing lingers, and there are ports for all.
        socket.set_zero_linger()?;
        socket.bind((source, 0).into())?;
        let mut stream = BufReader::new(socket.connect(to).await?);
        stream.write_all(request.as_bytes()).await?;
        let (mut node, mut cookie, mut line) = (None, None, String::new());
        while stream.read_line(&mut line).await? > 2 {
            if let Some(number) = line.strip_prefix("X-Node: ") {
                node = number.trim().parse().ok();
            } else if let Some(text) = line.strip_prefix("Set-Cookie: ") {
                cookie = text.split(';').next().map(str::to_owned);
            }
            line.clear();
        }
        std::io::Result::Ok((node, cookie, stream))
    };
    let (node, cookie, stream) = within(PATIENCE, "a handshake", answered).await.expect("nginx answers");
    Held { node: node.expect("an answer from behind nginx"), cookie, _stream: stream }
}

/// Three that say who they are and hold what they are given.
async fn nodes() -> [SocketAddr; 3] {
    let mut addrs = Vec::new();
    for number in 0..3 {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        addrs.push(listener.local_addr().unwrap());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(hold(stream, number));
            }
        });
    }
    addrs.try_into().expect("three")
}

async fn hold(stream: TcpStream, number: usize) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    while stream.read_line(&mut line).await? > 2 {
        line.clear();
    }
    let answer = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n";
    stream.write_all(format!("{answer}X-Node: {number}\r\n\r\n").as_bytes()).await?;
    stream.read_to_end(&mut Vec::new()).await?;
    Ok(())
}
