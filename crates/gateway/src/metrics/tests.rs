use super::*;

/// A recorder of its own, and what registers everything with it.
pub(crate) fn recorder_of_its_own() -> (PrometheusRecorder, fn() -> Metrics) {
    (recorder().unwrap(), register)
}

/// Its own recorder: other tests of this process count too, and what they count must not be seen here.
#[test]
fn everything_is_there_from_the_start_and_counts() {
    let (recorder, register) = recorder_of_its_own();
    let handle = recorder.handle();
    let metrics = Arc::new(::metrics::with_local_recorder(&recorder, register));
    let before = handle.render();
    let lines: Vec<_> = before.lines().collect();

    for name in [
        "chorus_connections 0",
        "chorus_connections_by_state{state=\"open\",transport=\"websocket\"} 0",
        "chorus_streams 0",
        "chorus_connections_by_state{state=\"open\",transport=\"sse\"} 0",
        "chorus_accepts_total{transport=\"websocket\"} 0",
        "chorus_accepts_total{transport=\"sse\"} 0",
        "chorus_connections_limit 0",
        "chorus_drain_limit_seconds 0",
        "chorus_draining_since_timestamp_seconds 0",
        "chorus_rooms 0",
        "chorus_members 0",
        "chorus_tail_bytes 0",
        "chorus_slow_readers 0",
        "chorus_frames_received_total 0",
        "chorus_received_bytes_total 0",
        "chorus_frames_sent_total 0",
        "chorus_sent_bytes_total 0",
        "chorus_appends_total 0",
        "chorus_deliveries_total 0",
        "chorus_joins_total 0",
        "chorus_refusals_total{reason=\"origin\"} 0",
        "chorus_errors_total{code=\"unavailable\"} 0",
        "chorus_closes_total{code=\"1012\",reason=\"restart\"} 0",
        "chorus_closes_total{code=\"1006\",reason=\"lost\"} 0",
        "chorus_jwks_refreshes_total{result=\"ok\"} 0",
        "chorus_jwks_refreshes_total{result=\"failed\"} 0",
        "chorus_append_seconds_count 0",
        "chorus_delivery_seconds_bucket{le=\"0.0005\"} 0",
        "chorus_bus_up 0",
        "chorus_bus_down_since_timestamp_seconds 0",
        "chorus_bus_holes_filled_total 0",
        "chorus_bus_resets_total{reason=\"forked\"} 0",
        "chorus_bus_reconnects_total 0",
        "chorus_bus_stale_total 0",
        "chorus_bus_malformed_total 0",
        "chorus_bus_panics_total 0",
        concat!("chorus_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"} 1"),
    ] {
        assert!(lines.contains(&name), "{name} is not in\n{before}");
    }
    // Every family has its help, once.
    for family in lines.iter().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let name = family.split(' ').next().unwrap();
        let helps = lines.iter().filter(|line| line.starts_with(&format!("# HELP {name} "))).count();
        assert_eq!(helps, 1, "{name}");
    }

    // The indices of the arrays are the enums' own order.
    for refusal in Refusal::ALL {
        metrics.refused(refusal);
    }
    for code in ErrorCode::ALL {
        metrics.failed(code);
    }
    for close in Close::ALL {
        metrics.closed(close);
    }
    metrics.lost();
    metrics.jwks_refreshed(true);
    metrics.jwks_refreshed(false);
    metrics.closed(Close::Kicked);
    let mut connection = metrics.connection(Transport::WebSocket);
    connection.set(ConnectionState::Open);
    let mut stream = metrics.connection(Transport::Stream);
    stream.set(ConnectionState::Closing);
    let during = handle.render();
    for family in
        ["chorus_refusals_total", "chorus_errors_total", "chorus_closes_total", "chorus_jwks_refreshes_total"]
    {
        let counted = during.lines().filter(|line| line.starts_with(family) && !line.ends_with(" 0")).count();
        let known = before.lines().filter(|line| line.starts_with(family)).count();
        assert_eq!(counted, known, "{family}");
    }
    assert!(during.contains("chorus_closes_total{code=\"1008\",reason=\"kicked\"} 2"), "{during}");
    assert!(during.contains("chorus_connections 1"), "{during}");
    assert!(during.contains("chorus_accepts_total{transport=\"sse\"} 1"), "{during}");
    assert!(
        during.contains("chorus_connections_by_state{state=\"open\",transport=\"websocket\"} 1"),
        "{during}"
    );
    assert!(
        during.contains("chorus_connections_by_state{state=\"authenticating\",transport=\"websocket\"} 0")
    );
    assert!(during.contains("chorus_streams 1"), "{during}");
    assert!(
        during.contains("chorus_connections_by_state{state=\"closing\",transport=\"sse\"} 1"),
        "{during}"
    );
    drop((connection, stream));
    let after = handle.render();
    assert!(after.contains("chorus_connections 0"), "{after}");
    assert!(after.contains("chorus_streams 0"), "{after}");
    assert!(
        after.contains("chorus_connections_by_state{state=\"open\",transport=\"websocket\"} 0"),
        "{after}"
    );
}

#[test]
fn what_a_node_may_bear_and_the_begin_of_its_drain_are_told() {
    let (recorder, register) = recorder_of_its_own();
    let metrics = ::metrics::with_local_recorder(&recorder, register);
    let mut config = Config::default();
    config.limits.connections = 7;
    config.drain_seconds = 3;
    metrics.limits(&config);
    let told = recorder.handle().render();
    for line in [
        "chorus_connections_limit 7",
        "chorus_drain_limit_seconds 3",
        "chorus_draining_since_timestamp_seconds 0",
    ] {
        assert!(told.lines().any(|told| told == line), "{line} is not in\n{told}");
    }
    metrics.draining(1_500);
    let told = recorder.handle().render();
    let line = "chorus_draining_since_timestamp_seconds 1.5";
    assert!(told.lines().any(|told| told == line), "{line} is not in\n{told}");
}
