//! Which primaries a cluster has, and which slots each: asked of all of them, again and again.
//!
//! Nodes learn of a change one after the other, so their views are votes. A node knows best what it has itself: that
//! counts twice. When a slot has moved, the node that has it now and the one that had it outvote the rest; when a
//! primary was replaced while it was cut off, the rest outvotes it.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use fred::{
    clients::Client,
    error::Error,
    interfaces::ClientLike,
    types::{CustomCommand, Value, config::Server},
};
use tokio::{
    task::JoinSet,
    time::{sleep, timeout},
};

use super::{
    Core, config,
    map::{Map, NOBODY, SLOTS},
    shard::Shard,
};

/// How often at most the nodes are asked, however often the map was seen to be wrong.
const PAUSE: Duration = Duration::from_millis(50);

/// Slots from the first to the last, and the primary that has them.
type Range = (u16, u16, Server);

/// What one node says.
#[derive(Clone, Debug, PartialEq, Eq)]
struct View {
    from: Server,
    ranges: Vec<Range>,
}

/// Keeps the map until the bus is closed.
pub(super) async fn run(core: Arc<Core>, seeds: Vec<Server>) {
    let keep = async {
        let mut before = Vec::new();
        loop {
            let views = ask(&core, &seeds).await;
            // Most of the time nobody says anything new.
            if !views.is_empty() && views != before {
                draw(&core, &views);
                before = views;
            }
            sleep(PAUSE).await;
            let next = if core.link.map().is_some() { 2 * core.probe_interval } else { core.probe_interval };
            // In time, or earlier when the map was seen to be wrong.
            let _ = timeout(next, core.link.stale()).await;
        }
    };
    core.closing.run_until_cancelled(keep).await;
}

/// Asks every primary that is known, or else whoever the URL names.
async fn ask(core: &Arc<Core>, seeds: &[Server]) -> Vec<View> {
    let mut asked = JoinSet::new();
    for shard in core.link.shards() {
        // One that is gone must not hold up what the others say of it.
        let patience = core.probe_interval;
        asked.spawn(async move {
            let server = shard.server.clone()?;
            shard.connected().ok()?;
            timeout(patience, view(&shard.commands, &server)).await.ok()?.ok()
        });
    }
    let mut views: Vec<View> = asked.join_all().await.into_iter().flatten().collect();
    for server in seeds {
        if !views.is_empty() {
            break;
        }
        views.extend(stranger(core, server).await);
    }
    views.sort_by(|a, b| a.from.cmp(&b.from));
    views
}

/// Asks a node that there is no connection to.
async fn stranger(core: &Core, server: &Server) -> Option<View> {
    let mut parsed = config::at(&core.reach, server);
    parsed.fail_fast = true;
    // It hands on the error of every attempt, and with room for one alone no more than that there were others.
    let client = config::client(parsed, &core.config, 16);
    let asked = async {
        client.init().await?;
        view(&client, server).await
    };
    let answer = timeout(core.config.connect_timeout, asked).await;
    let _ = timeout(PAUSE, client.quit()).await;
    let why = match answer {
        Ok(Ok(view)) => {
            core.set_lost(None);
            return Some(view);
        }
        Ok(Err(error)) => error.to_string(),
        Err(_) => "no answer in time".to_owned(),
    };
    core.set_lost(Some((server, why)));
    None
}

async fn view(client: &Client, server: &Server) -> Result<View, Error> {
    let command = CustomCommand::new_static("CLUSTER", None::<u16>, false);
    let answer: Value = client.custom(command, vec!["SLOTS"]).await?;
    Ok(View { from: server.clone(), ranges: ranges(&answer, server) })
}

/// Reads `CLUSTER SLOTS`. What makes no sense is left out: its slots are then nobody's.
fn ranges(answer: &Value, server: &Server) -> Vec<Range> {
    let Value::Array(ranges) = answer else { return Vec::new() };
    let range = |range: &Value| {
        let Value::Array(parts) = range else { return None };
        let [first, last, Value::Array(primary), ..] = &parts[..] else { return None };
        let host = primary.first()?.as_str().filter(|host| !host.is_empty() && host != "?");
        // A node that does not know its own address is where it was asked.
        let host = host.map_or_else(|| server.host.to_string(), |host| host.to_string());
        let port = u16::try_from(primary.get(1)?.as_u64()?).ok()?;
        let slot =
            |value: &Value| u16::try_from(value.as_u64()?).ok().filter(|slot| usize::from(*slot) < SLOTS);
        Some((slot(first)?, slot(last)?, Server::new(host, port)))
    };
    ranges.iter().filter_map(range).collect()
}

/// Counts the votes. Gives the primaries in an order of their own, and for each slot the index of the one that has
/// it.
fn count(views: &[View]) -> (Vec<Server>, Vec<u16>) {
    let mut servers: BTreeMap<Server, u16> =
        views.iter().flat_map(|view| &view.ranges).map(|(.., server)| (server.clone(), 0)).collect();
    for (number, index) in servers.values_mut().enumerate() {
        *index = number as u16;
    }
    // For each slot: primary, votes, and how many of them are of others.
    let mut votes: Vec<Vec<(u16, u32, u32)>> = vec![Vec::new(); SLOTS];
    for view in views {
        for (first, last, server) in &view.ranges {
            let Some(&index) = servers.get(server) else { continue };
            let (weight, others) = if *server == view.from { (2, 0) } else { (1, 1) };
            let slots = votes.iter_mut().take(usize::from(*last) + 1).skip(usize::from(*first));
            for votes in slots {
                match votes.iter_mut().find(|(known, ..)| *known == index) {
                    Some(vote) => *vote = (index, vote.1 + weight, vote.2 + others),
                    None => votes.push((index, weight, others)),
                }
            }
        }
    }
    let winner = |votes: &Vec<(u16, u32, u32)>| {
        votes.iter().max_by_key(|(_, votes, others)| (*votes, *others)).map_or(NOBODY, |(index, ..)| *index)
    };
    let mut slots: Vec<u16> = votes.iter().map(winner).collect();
    // Who has nothing is no primary.
    let mut used = vec![false; servers.len()];
    for &slot in slots.iter().filter(|&&slot| slot != NOBODY) {
        used[usize::from(slot)] = true;
    }
    let mut place = vec![NOBODY; servers.len()];
    let mut kept = Vec::new();
    for (server, index) in servers {
        if used[usize::from(index)] {
            place[usize::from(index)] = kept.len() as u16;
            kept.push(server);
        }
    }
    for slot in &mut slots {
        *slot = place.get(usize::from(*slot)).copied().unwrap_or(NOBODY);
    }
    (kept, slots)
}

/// Replaces the map, if it has changed.
fn draw(core: &Arc<Core>, views: &[View]) {
    let (servers, slots) = count(views);
    let before = core.link.map();
    if servers.is_empty() || before.as_ref().is_some_and(|map| map.is_same(&servers, &slots)) {
        return;
    }
    let known = |server: &Server| before.as_ref().and_then(|map| map.at(server).cloned());
    let (mut shards, mut new): (Vec<Arc<Shard>>, Vec<Arc<Shard>>) = (Vec::new(), Vec::new());
    for server in servers {
        let shard = known(&server).unwrap_or_else(|| {
            let shard = core.new_shard(Some(server.clone()), &config::at(&core.reach, &server));
            new.push(Arc::clone(&shard));
            shard
        });
        shards.push(shard);
    }
    tracing::info!(primaries = shards.len(), new = new.len(), "redis cluster has changed");
    core.link.set_map(Map::cluster(shards.clone(), slots));
    for shard in &new {
        core.start(shard);
    }
    for shard in before.iter().flat_map(|map| map.shards()) {
        if !shards.iter().any(|kept| Arc::ptr_eq(kept, shard)) {
            shard.set_reachable(false);
            shard.closing.cancel();
        }
    }
    for shard in &shards {
        shard.changes.all_anew();
    }
    core.health_changed();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(port: u16) -> Server {
        Server::new("h", port)
    }

    fn view(from: u16, ranges: &[(u16, u16, u16)]) -> View {
        let ranges = ranges.iter().map(|&(first, last, port)| (first, last, server(port))).collect();
        View { from: server(from), ranges }
    }

    #[test]
    fn who_has_a_slot_and_who_had_it_know_better() {
        let views = [
            view(1, &[(0, 99, 1), (100, 16_383, 2)]),
            view(2, &[(0, 99, 1), (100, 16_383, 2)]),
            view(3, &[(0, 100, 1), (101, 16_383, 2)]),
        ];
        let (servers, slots) = count(&views);
        assert_eq!(servers, [server(1), server(2)]);
        assert_eq!((slots[99], slots[100], slots[16_383]), (0, 1, 1));
    }

    #[test]
    fn a_primary_that_was_cut_off_is_outvoted() {
        let others = [(0, 99, 4), (100, 199, 2), (200, 299, 3)];
        let views =
            [view(1, &[(0, 99, 1), (100, 199, 2), (200, 299, 3)]), view(2, &others), view(3, &others)];
        let (servers, slots) = count(&views);
        assert_eq!(servers, [server(2), server(3), server(4)]);
        assert_eq!((slots[0], slots[100], slots[200], slots[300]), (2, 0, 1, NOBODY));
    }
}
