use super::*;

const MACHINE: Machine =
    Machine { cores: 4.0, memory: 8.0, use_at_most: 0.5, redis_memory: 16.0, nodes: None };

fn load(users: f64, rooms: f64, rate: f64) -> Load {
    Load {
        users,
        rooms,
        rooms_each: 1.0,
        rate,
        bytes: 128.0,
        turnover: 1.0,
        heartbeat: 30.0,
        history: 100.0,
        age: 86_400.0,
    }
}

#[test]
fn a_small_cluster_is_two_nodes() {
    let plan = load(10_000.0, 1000.0, 100.0).plan(&MACHINE);
    assert_eq!((plan.nodes, plan.because, plan.shards), (2.0, Bound::Nothing, 1.0));
    assert!((plan.members - 10.0).abs() < 1e-9 && (plan.deliveries - 1000.0).abs() < 1e-6);
    assert!(plan.receivers > 1.99, "ten members are on both: {}", plan.receivers);
}

#[test]
fn what_is_short_decides() {
    assert_eq!(load(1e6, 1e5, 10.0).plan(&MACHINE).because, Bound::Connections);
    assert_eq!(load(1e5, 1e4, 1e5).plan(&MACHINE).because, Bound::Cores);
    let small = Machine { memory: 0.4, ..MACHINE };
    assert_eq!(load(1e6, 1e5, 10.0).plan(&small).because, Bound::Memory);
}

#[test]
fn what_was_planned_is_within_its_bounds_and_one_node_fewer_is_not() {
    for load in [load(1e6, 1e5, 50_000.0), load(3e7, 3e6, 1e6), load(1e6, 1.0, 1.0), load(1e6, 1e3, 100.0)] {
        let plan = load.plan(&MACHINE);
        let used = |nodes: f64| {
            let node = load.on(nodes);
            (node.cores / 2.0).max(node.bytes / 4e9).max(node.connections / 50_000.0)
        };
        assert!(used(plan.nodes - 1.0) <= 1.0, "without the spare one: {plan:?}");
        assert!(used((plan.nodes - 2.0) * 0.95) > 1.0, "{plan:?}");
    }
}

#[test]
fn what_is_too_much_is_said_to_be_so() {
    // Everybody in one room, and everybody talks.
    let plan = load(1e8, 1.0, 1e6).plan(&MACHINE);
    assert_eq!(plan.because, Bound::TooMany);
    assert!(plan.to_string().contains("NOT ENOUGH"), "{plan}");
}

#[test]
fn redis_is_divided_when_one_core_or_one_memory_is_too_small() {
    assert!(load(1e6, 1e5, 50_000.0).plan(&MACHINE).shards > 1.0);
    assert!(load(1e6, 1e5, 2e3).plan(&MACHINE).shards < 2.0);
    let remembering = Load { history: 1000.0, ..load(1e6, 1e5, 2e3) };
    assert!(remembering.plan(&MACHINE).shards > 1.0, "{:?}", remembering.plan(&MACHINE));
}

#[test]
fn so_many_nodes_as_are_asked_for_are_what_there_is() {
    let three = Machine { nodes: Some(3.0), ..MACHINE };
    let plan = load(2500.0, 100.0, 500.0).plan(&three);
    assert_eq!((plan.nodes, plan.because), (3.0, Bound::Given));
    assert!((plan.node.connections - 2500.0 / 3.0).abs() < 1e-9);
}

#[test]
fn a_busy_redis_pays_less_for_a_message() {
    // As the table "redis" of docs/SCALING.md has it, in its middle.
    let micros = |rate: f64| redis_busy(rate, 3.0) * 1e6 / rate;
    assert!((150.0..250.0).contains(&micros(1_000.0)), "{}", micros(1_000.0));
    assert!((90.0..150.0).contains(&micros(4_000.0)), "{}", micros(4_000.0));
}

#[test]
fn as_many_redis_as_are_needed_are_as_busy_as_they_may_be() {
    for nodes in [1.0, 3.0, 800.0] {
        let busy = redis_busy(redis_rate(nodes), nodes);
        assert!((busy - REDIS_AT_MOST).abs() < 1e-3, "{nodes} nodes: {busy}");
    }
}

#[test]
fn who_comes_and_goes_is_gathered_where_there_are_many() {
    // Ten members, an end and a return an hour each.
    let small = load(1e6, 1e5, 0.0).presence(20.0);
    assert!((small.told - 20.0 / 3600.0).abs() < 1e-4 && (small.told - small.heard).abs() < 1e-9);
    // One room of all: whatever the number of nodes, a member hears at most once in three seconds.
    let large = load(1e6, 1.0, 0.0).presence(20.0);
    assert!((large.heard - 1.0 / 3.0).abs() < 1e-9, "{}", large.heard);
    assert!((6.0..=20.0 / 3.0).contains(&large.told), "{}", large.told);
    let settled = Load { turnover: 0.0, ..load(1e6, 1.0, 0.0) };
    assert!(settled.presence(20.0).told.abs() < 1e-9, "nobody comes, nobody goes");
}
