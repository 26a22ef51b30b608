//! What is shipped for those who watch: the rules of Prometheus, Grafana's dashboard, and the pages on both. They name
//! metrics that a gateway has, and none is left out.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{Seek, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use testkit::{Client, Cluster, PATIENCE, Prometheus, Redis, Request, find_program, until};

use crate::fixture::{FAST, options, single};
use crate::tools;

fn read(path: &str) -> String {
    fs::read_to_string(tools::project().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// What follows `key` on each line that begins with it.
fn values(text: &str, key: &str) -> Vec<String> {
    text.lines().filter_map(|line| Some(line.trim().strip_prefix(key)?.trim().to_owned())).collect()
}

/// The expressions of the rules of a file: what stands behind `expr:`, or under it.
fn expressions(rules: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let mut folded = false;
    for line in rules.lines() {
        let line = line.trim();
        if let Some(expression) = line.strip_prefix("expr:") {
            folded = expression.trim() == ">-";
            found.push(if folded { String::new() } else { expression.to_owned() });
        } else if ["labels:", "for:", "- "].iter().any(|key| line.starts_with(key)) {
            folded = false;
        } else if folded {
            let expression = found.last_mut().expect("it began with one");
            expression.push(' ');
            expression.push_str(line);
        }
    }
    found
}

/// The panels' titles and expressions, as Grafana would ask them of a cluster that is scraped every second.
fn queries() -> Vec<(String, String)> {
    let dashboard: Value = serde_json::from_str(&read("deploy/grafana/dashboards/chorus.json")).unwrap();
    let mut found = Vec::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        let title = panel["title"].as_str().unwrap();
        for target in panel["targets"].as_array().into_iter().flatten() {
            let expression = target["expr"].as_str().unwrap();
            let asked = expression
                .replace("$job", "chorus")
                .replace("$instance", ".*")
                .replace("$__rate_interval", "15s");
            assert!(!asked.contains('$'), "{title}: a variable that this test does not know: {asked}");
            found.push((title.to_owned(), asked));
        }
    }
    found
}

/// The metrics that an expression names; a histogram's parts count as the histogram.
fn named(expression: &str) -> BTreeSet<String> {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    let ours = |word: &&str| {
        ["chorus_", "process_", "job:", "instance:"].iter().any(|prefix| word.starts_with(prefix))
    };
    // What stands in quotes is a label's value.
    let outside: String = expression.split('"').step_by(2).collect::<Vec<_>>().join(" ");
    outside
        .split(|c| !word(c))
        .filter(ours)
        .map(|name| name.trim_end_matches("_bucket").trim_end_matches("_count").to_owned())
        .collect()
}

/// Of each metric its type and the names of its labels.
type Families = BTreeMap<String, (String, BTreeSet<String>)>;

/// The metrics of a scrape.
fn exposed(text: &str) -> Families {
    let mut found = BTreeMap::new();
    for line in text.lines() {
        if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) {
            found.insert(name.to_owned(), (kind.to_owned(), BTreeSet::new()));
        } else if let Some((name, labels)) = line.split_once('{').filter(|_| !line.starts_with('#')) {
            let (labels, _) = labels.rsplit_once('}').unwrap();
            let (_, known) = found.get_mut(name.trim_end_matches("_bucket")).unwrap();
            known.extend(labels.split("\",").map(|label| label.split_once('=').unwrap().0.to_owned()));
        }
    }
    found
}

/// The tables of `docs/METRICS.md`: the documented metrics, and those that are said to be used by nothing.
fn documented() -> (Families, BTreeSet<String>) {
    let (mut metrics, mut unused) = (BTreeMap::new(), BTreeSet::new());
    for row in read("docs/METRICS.md").lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = row.trim_matches('|').split(" |").map(str::trim).collect();
        let name = cells[0].trim_matches('`').to_owned();
        if cells.len() < 4 {
            assert!(!cells[1].is_empty(), "{name} is unused, and no word why");
            unused.insert(name);
            continue;
        }
        let labels = cells[2].split(", ").filter(|label| !label.is_empty());
        let labels = labels.map(|label| label.trim_matches('`').to_owned()).collect();
        assert!(!cells[3].is_empty() && !cells[4].is_empty(), "{name} has no unit or no meaning");
        let twice = metrics.insert(name.clone(), (cells[1].to_owned(), labels));
        assert!(twice.is_none(), "{name} is documented twice");
    }
    (metrics, unused)
}

#[tokio::test]
async fn every_metric_is_explained_and_used_and_nothing_else_is() {
    let gateway = single().await;
    // A label that is set only when something happens would show now.
    Client::connect(gateway.addr(), "alice").await.join("lobby").await;
    let text = Request::get("/metrics").send(gateway.addr()).await.body;
    let live = exposed(&text);
    let (explained, unused) = documented();
    assert_eq!(live, explained, "docs/METRICS.md and a running gateway");
    let series = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).count();
    assert!(series < 200, "docs/METRICS.md says that a node has fewer than 200 series: {series}");
    promtool(&["check", "metrics"], &[], &text).await;

    let (recording, alerts) =
        (read("deploy/prometheus/rules/recording.yml"), read("deploy/prometheus/rules/alerts.yml"));
    let recorded: BTreeSet<String> = values(&recording, "- record:").into_iter().collect();
    let mut asked: Vec<String> = expressions(&alerts);
    asked.extend(queries().into_iter().map(|(_, expression)| expression));
    let used: BTreeSet<String> =
        asked.iter().chain(&expressions(&recording)).flat_map(|expression| named(expression)).collect();
    let known: BTreeSet<String> = live.keys().cloned().collect();
    let of_gateways: BTreeSet<String> = used.iter().filter(|name| !name.contains(':')).cloned().collect();
    assert_eq!(
        of_gateways.difference(&known).collect::<Vec<_>>(),
        Vec::<&String>::new(),
        "no gateway has it"
    );
    assert_eq!(known.difference(&of_gateways).cloned().collect::<BTreeSet<_>>(), unused, "what nothing uses");

    // What is recorded is asked for, and what is asked for is recorded.
    let of_rules: BTreeSet<String> =
        asked.iter().flat_map(|expression| named(expression)).filter(|name| name.contains(':')).collect();
    assert_eq!(of_rules, recorded);
}

#[tokio::test]
async fn the_rules_pass_promtool_and_each_alert_has_a_test_and_a_paragraph() {
    promtool(&["check", "config"], &["prometheus.yml"], "").await;
    promtool(&["check", "rules"], &["rules/recording.yml", "rules/alerts.yml"], "").await;
    promtool(&["test", "rules"], &["tests/alerts.yml"], "").await;

    let (rules, tests) =
        (read("deploy/prometheus/rules/alerts.yml"), read("deploy/prometheus/tests/alerts.yml"));
    let page = read("docs/OPERATIONS.md");
    let alerts = values(&rules, "- alert:");
    assert!(alerts.len() > 20, "{alerts:?}");
    for alert in &alerts {
        let quiet = format!("alertname: {alert}, eval_time:");
        assert!(
            tests.lines().any(|line| line.contains(&quiet) && line.ends_with("exp_alerts: [] }")),
            "no test says when {alert} is quiet"
        );
        assert!(values(&tests, "- alertname:").contains(alert), "no test says when {alert} fires");
        let runbook = format!("docs/OPERATIONS.md#{}", alert.to_lowercase());
        assert!(rules.lines().any(|line| line.ends_with(&runbook)), "{alert} has no link to its paragraph");
    }
    assert_eq!(
        values(&page, "#### "),
        alerts,
        "the paragraphs of docs/OPERATIONS.md, in the order of the rules"
    );
}

async fn promtool(command: &[&str], files: &[&str], input: &str) {
    let program = find_program("promtool").expect("\"cargo xtask install\" installs Debian's prometheus");
    // From a file, for it answers before it has read everything if it does not like the beginning.
    let mut stdin = tempfile::tempfile().unwrap();
    stdin.write_all(input.as_bytes()).unwrap();
    stdin.rewind().unwrap();
    let mut promtool = tokio::process::Command::new(program);
    promtool.current_dir(tools::project().join("deploy/prometheus")).args(command).args(files).stdin(stdin);
    let output = tools::output(Duration::from_mins(1), "promtool", promtool.kill_on_drop(true)).await;
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "promtool {command:?}: {}", String::from_utf8_lossy(&said));
}

/// How much longer than it must the company talks, for a picture that shows something. That in `docs/images` was made by
/// `CHORUS_DASHBOARD_SECONDS=150 cargo test -p gateway --test cluster -- what_the_panels_ask`.
fn time_to_talk() -> Duration {
    let seconds = std::env::var("CHORUS_DASHBOARD_SECONDS").ok().and_then(|text| text.parse().ok());
    Duration::from_secs(seconds.unwrap_or(0))
}

#[tokio::test]
async fn what_the_panels_ask_a_real_prometheus_answers() {
    // What was acknowledged survives the restart below.
    let redis = Redis::start_with(&["appendfsync always"]).await;
    let mut cluster = Cluster::start_with(redis, 3, options().config(FAST)).await;
    let addrs = [0, 1, 2].map(|node| cluster.addr(node));
    let prometheus = Prometheus::start(addrs).await;
    let talk = tokio::spawn(talk_on(addrs));
    let time = time_to_talk();
    let began = Instant::now();
    until(PATIENCE, "Prometheus to see deliveries on each node", async || {
        let nodes = prometheus.query("rate(chorus_deliveries_total[15s]) > 0").await;
        if nodes.len() == 3 { Ok(()) } else { Err(format!("{nodes:?}")) }
    })
    .await;
    tokio::time::sleep(time / 2).await;
    cluster.redis.stop().await;
    until(PATIENCE, "Prometheus to know that Redis is away", async || {
        let up = prometheus.query("sum(chorus_bus_up)").await;
        if up.first().is_some_and(|sum| sum["value"][1] == "0") { Ok(()) } else { Err(format!("{up:?}")) }
    })
    .await;
    cluster.redis.restart().await;
    tokio::time::sleep(time / 2).await;

    for (title, query) in queries() {
        // Whether an alert fires is no question of whether the panel works.
        if query.contains("ALERTS") {
            prometheus.query(&query).await;
            continue;
        }
        until(PATIENCE, &format!("an answer for the panel {title:?}: {query}"), async || {
            let series = prometheus.query(&query).await;
            // A division by nothing is an answer, but none that can be drawn.
            let drawn = series.iter().filter(|one| one["value"][1] != "NaN").count();
            if drawn > 0 { Ok(()) } else { Err(format!("{series:?}")) }
        })
        .await;
    }
    assert!(!talk.is_finished(), "whoever talks has failed: {:?}", talk.await);

    // And they can be drawn.
    let picture = tools::artifacts("dashboard").join("dashboard.svg");
    let mut plot = tokio::process::Command::new(find_program("python3").expect("python3"));
    plot.arg(tools::project().join("deploy/grafana/plot.py")).arg(format!("http://{}", prometheus.addr()));
    plot.arg(began.elapsed().as_secs().to_string()).arg(&picture).kill_on_drop(true);
    let output = tools::output(Duration::from_mins(1), "plot.py", &mut plot).await;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let drawn = fs::read_to_string(&picture).unwrap();
    let titles: BTreeSet<String> = queries().into_iter().map(|(title, _)| title).collect();
    for title in titles {
        assert!(drawn.contains(&title.replace('&', "&amp;")), "{title} is not in the picture");
    }
    talk.abort();
}

/// Three talk in a room for ever, before an audience on each node; somebody comes, does not behave, and leaves.
async fn talk_on(addrs: [SocketAddr; 3]) {
    let mut audience = tokio::task::JoinSet::new();
    let mut talkers = Vec::new();
    for (node, addr) in addrs.into_iter().enumerate() {
        for number in 0..105 {
            let mut listener = Client::connect(addr, &format!("listener-{node}-{number}")).await;
            if number < 15 {
                listener.request(json!({ "type": "join", "room": "lobby" })).await;
            }
            audience.spawn(async move { listener.drain(Duration::from_hours(1)).await });
        }
        let mut talker = Client::connect(addr, &format!("talker-{node}")).await;
        talker.request(json!({ "type": "join", "room": "lobby" })).await;
        talkers.push(talker);
    }
    for turn in 0_usize.. {
        for talker in &mut talkers {
            // While Redis is away this is refused, which is a figure as well.
            talker.request(json!({ "type": "message", "room": "lobby", "data": turn })).await;
            talker.drain(Duration::from_millis(20)).await;
        }
        if turn.is_multiple_of(10) {
            let mut visitor = Client::connect(addrs[turn % 3], "visitor").await;
            visitor.request(json!({ "type": "message", "room": "not-joined", "data": 1 })).await;
            visitor.close(1000, "bye").await;
        }
    }
}
