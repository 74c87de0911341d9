/**
 * The metrics that there are: names, kinds, labels, buckets. Labels come from tables, never from clients; where a
 * client's word is one, there are few of them.
 */

export type Instrument = {
  readonly kind: 'counter' | 'gauge' | 'histogram';
  readonly help: string;
  readonly labels: readonly string[];
  /** Upper bounds of a histogram's buckets; for the others none. */
  readonly buckets: readonly number[];
};

/** From a backend on the same machine to the default timeout. */
const SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
const SESSIONS = [1, 2, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000];

/** Of pauses that stop everything. */
export const GC_SECONDS = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5];

export const INSTRUMENTS = {
  pith_build_info: gauge('Always 1.', ['version', 'node']),
  pith_config_reloads_total: counter(
    'Reloads of the configuration: applied, unchanged or refused.',
    ['result'],
  ),
  pith_config_last_reload_successful: gauge('0 after a reload that was refused.'),
  pith_config_last_reload_success_timestamp_seconds: gauge(
    'When the configuration was last reloaded, in seconds since 1970; 0: not since the start.',
  ),
  pith_workers_ready: gauge('Workers that take clients, where `workers` is more than 1.'),
  pith_worker_crashes_total: counter('Workers that have ended unexpectedly.'),
  pith_worker_upgrades_total: counter(
    'Workers that `pith upgrade` was to replace: upgraded; refused, when nothing has changed; failed, when its clients have lost their connections.',
    ['outcome'],
  ),
  pith_worker_upgrade_pause_seconds: histogram(
    'How long nobody was read from while the clients of a worker moved to the next version.',
    GC_SECONDS,
  ),
  pith_worker_upgrade_sessions_total: counter(
    'Sessions of workers that were upgraded: moved to the next version, or closed because they could not.',
    ['outcome'],
  ),
  pith_sessions: gauge('Open sessions.'),
  pith_session_states: gauge('Open sessions, by transport and state.', ['transport', 'state']),
  pith_handshakes_total: counter(
    'Sessions whose handshake was accepted, by dialect and by what the client says of itself.',
    ['dialect', 'client_type'],
  ),
  pith_handshake_duration_seconds: histogram(
    'Time from the connection to the end of the handshake.',
    SECONDS,
  ),
  pith_round_trip_seconds: histogram(
    "Time that a client took to acknowledge a handshake's answer, or to answer a WebSocket ping.",
    SECONDS,
    ['transport'],
  ),
  pith_messages_received_total: counter('Messages from clients that could be read, by kind.', [
    'type',
  ]),
  pith_messages_sent_total: counter('Messages for clients: response or push.', ['type']),
  pith_bytes_received_total: counter('Bytes from clients.', ['transport']),
  pith_bytes_sent_total: counter('Bytes written for clients.', ['transport']),
  pith_connections_accepted_total: counter('Connections that became sessions.', ['transport']),
  pith_connections_refused_total: counter('Connections rejected before they became sessions.', [
    'reason',
  ]),
  pith_accepts_waiting: gauge('New connections that wait for their turn.'),
  pith_accepts_delayed_total: counter(
    'New connections that had to wait because of limits.accepts_per_second.',
  ),
  pith_port_connections_refused_total: counter(
    'Connections rejected on the health, admin and control ports.',
    ['port', 'reason'],
  ),
  pith_port_connections: gauge('Open connections on the health, admin and control ports.', [
    'port',
  ]),
  pith_control_calls_total: counter('Calls of Control that were carried out, or failed.', [
    'via',
    'method',
    'outcome',
  ]),
  pith_control_calls_refused_total: counter(
    'Calls on the control and admin ports that showed no valid token or certificate, or none with that role.',
    ['port', 'reason'],
  ),
  pith_sessions_closed_total: counter('Sessions that ended, by close reason.', ['reason']),
  pith_resumes_total: counter('Sessions that went on from one that was lost.'),
  pith_resumes_refused_total: counter('Resume tokens that were of no use, by reason.', ['reason']),
  pith_resume_tokens_total: counter(
    'Resume tokens: made, or too_large because there is more in the session than fits.',
    ['outcome'],
  ),
  pith_resume_ended: gauge('Ended sessions whose resume tokens are refused.'),
  pith_jwt_tokens_total: counter(
    'Tokens that clients came with, in a handshake or to refresh one: accepted, or why not.',
    ['use', 'outcome'],
  ),
  pith_jwks_fetches_total: counter('Fetches of auth.jwt.jwks_url: ok or failed.', ['outcome']),
  pith_jwks_fetched_timestamp_seconds: gauge(
    'When the keys of auth.jwt.jwks_url were last fetched, in seconds since 1970; 0: not yet.',
  ),
  pith_block_list_size: gauge(
    'Blocks on the list, by what they are of, and whether Control or blocks.file set them.',
    ['kind', 'source'],
  ),
  pith_blocked_total: counter(
    'Connections, handshakes and binds refused, and sessions closed, because of a block, by what it is of.',
    ['kind'],
  ),
  pith_maintenance_state: gauge('1 while something is in maintenance.'),
  pith_messages_dropped_total: counter('Client messages dropped without an answer.', ['reason']),
  pith_messages_refused_total: counter(
    'Client messages answered with an error before they reached a backend.',
    ['reason'],
  ),
  pith_requests_total: counter('Messages relayed, by outcome.', ['backend', 'outcome']),
  pith_request_duration_seconds: histogram(
    'Time from a request to its answer, whatever the outcome.',
    SECONDS,
    ['backend'],
  ),
  pith_route_requests_total: counter('Messages relayed, by the match of their route and outcome.', [
    'route',
    'outcome',
  ]),
  pith_route_duration_seconds: histogram(
    'Time from a request to its answer, whatever the outcome, by the match of its route.',
    SECONDS,
    ['route'],
  ),
  pith_rate_limited_total: counter(
    'Messages refused because of limits.messages_per_second (session) or the rate of a route.',
    ['scope'],
  ),
  pith_retries_total: counter(
    'Idempotent messages sent again, and those for which the budget of their backend had nothing left.',
    ['result'],
  ),
  pith_calls_waiting: gauge(
    'Messages that cannot be sent yet, by what they wait for: takeover, subscriber, bus, connection or credit.',
    ['for'],
  ),
  pith_calls_waited_total: counter('Messages that had to wait before they were sent.', ['for']),
  pith_requests_in_flight: gauge('Messages in flight or waiting in the gateway.', ['backend']),
  pith_in_flight_bytes: gauge('Bytes of the bodies of those messages, of all backends together.'),
  pith_in_flight_limit_bytes: gauge('The maximum of pith_in_flight_bytes: limits.in_flight_bytes.'),
  pith_late_replies_total: counter(
    'Answers that arrived after the call had ended, and were dropped.',
    ['kind'],
  ),
  pith_backend_messages_dropped_total: counter(
    'Lines, frames, pushes and session changes from backends that could not be used; and ends of sessions that could not be reported to them.',
    ['backend', 'reason'],
  ),
  pith_bus_refused_total: counter(
    'Messages on the bus that were refused or dropped, or could not be answered.',
    ['reason'],
  ),
  pith_pushes_total: counter('Pushes to sessions of this gateway.', ['outcome']),
  pith_push_fanout: histogram('Sessions of this gateway to which a push was delivered.', SESSIONS),
  pith_push_delay_seconds: histogram(
    'Time from the arrival of a push until it is in the outbox of its last session.',
    SECONDS,
  ),
  pith_pushes_skipped_total: counter(
    'Pushes that were not sent because a newer one with the same key replaced them, or because they expired.',
    ['reason'],
  ),
  pith_replayed_pushes_total: counter(
    'Kept pushes that were read again for sessions that had missed them.',
  ),
  pith_replays_total: counter(
    'Sessions for which kept pushes were read: complete, or missed where some were no longer kept.',
    ['outcome'],
  ),
  pith_replays_waiting: gauge('Sessions that wait for kept pushes to be read.'),
  pith_deltas_total: counter(
    'Pushes to groups that waited for the answer to a request that joins, or that were not sent because the answer has them.',
    ['outcome'],
  ),
  pith_gaps_told_total: counter('Times that a client was told that it has missed pushes.'),
  pith_backend_healthy_addresses: gauge('Addresses of the backend that can serve.', ['backend']),
  pith_backend_addresses: gauge(
    "Addresses of the backend, by the state that the log's lines have.",
    ['backend', 'state'],
  ),
  pith_link_credit: gauge(
    'Messages that the Links of the backend may still be sent, where it limits them: the sum over its Links.',
    ['backend'],
  ),
  pith_backend_breaker_open: gauge('1 while the circuit breaker of the backend is open.', [
    'backend',
  ]),
  pith_tls_certificate_expiry_timestamp_seconds: gauge(
    "When a listener's certificate expires, in seconds since 1970.",
    ['listener'],
  ),
  pith_bus_up: gauge('1 while the bus is connected.'),
  pith_bus_requests_up: gauge('1 while the connection of backends on NATS is up, with nats.split.'),
  pith_bus_connects_total: counter('Attempts to connect to the bus, by outcome.', ['outcome']),
  pith_bus_bytes_total: counter(
    'Bytes of messages from and to NATS, headers included: received or sent.',
    ['direction'],
  ),
  pith_bus_unsent_bytes: gauge('Bytes that wait to be sent to the bus.'),
  pith_events_total: counter('Events for the bus, by name.', ['event']),
  pith_events_dropped_total: counter(
    'Events that will never be published because too many waited for the bus.',
  ),
  pith_events_waiting: gauge('Events that wait for the bus, or for its confirmation.'),
  pith_pushes_waiting_bytes: gauge(
    'What pushes to many sessions hold that wait for their turn; limits.fanout.waiting is the maximum.',
  ),
  pith_unfinished_bytes: gauge(
    'Bytes of packets of clients that are not whole, beyond 4 KiB each.',
  ),
  pith_unfinished_limit_bytes: gauge('The maximum of pith_unfinished_bytes: limits.unfinished.'),
  pith_outbox_bytes: gauge(
    'Unsent bytes of all sessions, including those in sockets and the overhead of many small messages.',
  ),
  pith_outbox_limit_bytes: gauge('The maximum of pith_outbox_bytes: limits.outboxes.'),
  pith_connections_limit: gauge(
    'The maximum number of client connections: limits.connections, capped by the file descriptors.',
  ),
  pith_internal_errors_total: counter('Faults of the gateway itself that it survived.'),
  pith_log_lines_dropped_total: counter('Log lines dropped because stdout was not read.'),
  pith_overload_state: gauge(
    '1 while new requests, or a share of them, are refused because the event loop lagged by more than limits.event_loop_lag.',
  ),
  pith_newcomers_elsewhere: gauge(
    '1 while the gateway is not ready because new clients should go to others, by reason.',
    ['reason'],
  ),
  pith_sessions_moved_total: counter('Sessions closed for a gateway with fewer (drain.rebalance).'),
  pith_generation_newest: gauge('1 if no gateway of a newer generation is known, else 0.', [
    'generation',
  ]),
  pith_drain_remaining: gauge('Sessions that a drain still has to close.'),
  pith_drain_forced_total: counter('Sessions that were closed because drain.budget was over.'),
  pith_drain_state: gauge('1 while the gateway is stopping, otherwise 0.'),
  pith_spans_total: counter(
    'Trace spans: made, exported, failed. The others are waiting, or were dropped because too many waited.',
    ['state'],
  ),
  pith_metric_exports_total: counter(
    'Times that the metrics were sent to telemetry.otlp: exported or failed.',
    ['state'],
  ),
  // The usual names of Node.js services, so that existing dashboards work.
  nodejs_eventloop_lag_p50_seconds: gauge('Median lag of the event loop since the last scrape.'),
  nodejs_eventloop_lag_p99_seconds: gauge(
    '99th percentile of the lag of the event loop since the last scrape.',
  ),
  nodejs_heap_size_used_bytes: gauge("Used bytes of V8's heap."),
  nodejs_heap_size_total_bytes: gauge("Size of V8's heap."),
  nodejs_external_memory_bytes: gauge('Memory outside the heap that objects in the heap own.'),
  nodejs_eventloop_utilization_ratio: gauge(
    'Share of the time since the last scrape in which the event loop was busy, 0 to 1.',
  ),
  nodejs_gc_duration_seconds: histogram(
    'Time that the garbage collector took, by kind: minor, major, incremental or weakcb.',
    GC_SECONDS,
    ['kind'],
  ),
  process_cpu_seconds_total: counter('Processor time of the process, user and system.'),
  process_resident_memory_bytes: gauge('Resident memory of the process.'),
  process_open_fds: gauge('Open file descriptors.'),
  process_max_fds: gauge('The most file descriptors that may be open.'),
  process_start_time_seconds: gauge('When the process began, in seconds since 1970.'),
} as const satisfies Record<string, Instrument>;

export type InstrumentName = keyof typeof INSTRUMENTS;

function counter(help: string, labels: readonly string[] = []): Instrument {
  return { kind: 'counter', help, labels, buckets: [] };
}

function gauge(help: string, labels: readonly string[] = []): Instrument {
  return { kind: 'gauge', help, labels, buckets: [] };
}

function histogram(
  help: string,
  buckets: readonly number[],
  labels: readonly string[] = [],
): Instrument {
  return { kind: 'histogram', help, labels, buckets };
}
