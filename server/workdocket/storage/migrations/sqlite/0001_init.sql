-- Times are whole milliseconds, UTC; JSON is text; a null time instead of a flag.

CREATE TABLE sequences (
    name  TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

INSERT INTO sequences (name, value) VALUES ('order', 0);

CREATE TABLE orders (
    number             INTEGER PRIMARY KEY,
    id                 TEXT NOT NULL UNIQUE,
    uid                TEXT NOT NULL UNIQUE,
    version            INTEGER NOT NULL,
    type               TEXT NOT NULL,
    type_version       INTEGER NOT NULL,
    edition            TEXT NOT NULL,
    state              TEXT NOT NULL,
    priority           INTEGER NOT NULL,
    requester_type     TEXT NOT NULL,
    requester_id       TEXT NOT NULL,
    created_at         INTEGER NOT NULL,
    changed_at         INTEGER NOT NULL,
    not_before         INTEGER,
    deadline           INTEGER,
    deadline_missed_at INTEGER,
    applied_at         INTEGER,
    completed_at       INTEGER,
    dedupe_key         TEXT,
    depends_on         TEXT,
    meta               TEXT NOT NULL,
    reverts            TEXT REFERENCES orders (id),
    error              TEXT,
    payload            TEXT NOT NULL
) STRICT;

CREATE INDEX orders_by_state ON orders (state, priority DESC, number);
CREATE INDEX orders_by_priority ON orders (priority DESC, number);
CREATE INDEX orders_by_type ON orders (type, priority DESC, number);
CREATE INDEX orders_by_dedupe_key ON orders (type, dedupe_key) WHERE dedupe_key IS NOT NULL;
-- Deadlines that can still be missed.
CREATE INDEX orders_by_deadline ON orders (deadline)
    WHERE deadline IS NOT NULL AND deadline_missed_at IS NULL
    AND state NOT IN ('completed', 'dead_lettered', 'cancelled');
CREATE INDEX orders_that_revert ON orders (reverts) WHERE reverts IS NOT NULL;
CREATE INDEX orders_in_review ON orders (type, changed_at) WHERE state = 'submitted';
CREATE INDEX orders_failed ON orders (changed_at) WHERE state = 'failed';

CREATE TABLE order_meta (
    key      TEXT NOT NULL,
    value    TEXT NOT NULL,
    order_id TEXT NOT NULL REFERENCES orders (id),
    PRIMARY KEY (key, value, order_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE order_needs (
    order_id TEXT NOT NULL REFERENCES orders (id),
    needs_id TEXT NOT NULL REFERENCES orders (id),
    PRIMARY KEY (needs_id, order_id)
) STRICT, WITHOUT ROWID;

-- lease_holder and lease_expires_at repeat the live lease for the indexes below; both are null without one.
CREATE TABLE items (
    id               TEXT PRIMARY KEY,
    order_id         TEXT NOT NULL REFERENCES orders (id),
    order_number     INTEGER NOT NULL,
    number           INTEGER NOT NULL,
    version          INTEGER NOT NULL,
    type             TEXT NOT NULL,
    state            TEXT NOT NULL,
    priority         INTEGER NOT NULL,
    key              TEXT,
    created_at       INTEGER NOT NULL,
    changed_at       INTEGER NOT NULL,
    max_attempts     INTEGER NOT NULL,
    attempts         INTEGER NOT NULL,
    fence            INTEGER NOT NULL,
    due_at           INTEGER,
    ready_at         INTEGER,
    rank             INTEGER NOT NULL,
    requires         TEXT NOT NULL,
    concurrency_key  TEXT NOT NULL,
    waiting_for      TEXT,
    needs            TEXT,
    reserved_for     TEXT,
    lease_holder     TEXT,
    lease_expires_at INTEGER,
    result_key       TEXT,
    refused_checksum TEXT,
    feedback         TEXT,
    error            TEXT,
    input            TEXT NOT NULL
) STRICT;

-- What checkout may hand out now: led by what it filters on, free of everything that is delayed or blocked.
CREATE INDEX items_ready ON items (type, rank, requires, concurrency_key, order_number, number, priority)
    WHERE ready_at IS NOT NULL;
CREATE INDEX items_ready_in_order ON items (order_number, rank, requires, concurrency_key, number)
    WHERE ready_at IS NOT NULL;
CREATE INDEX items_growing_old ON items (ready_at) WHERE ready_at IS NOT NULL AND rank >= 0;
CREATE INDEX items_due ON items (type, due_at) WHERE state = 'queued' AND due_at IS NOT NULL;
CREATE INDEX items_due_by_priority ON items (type, priority, due_at) WHERE state = 'queued' AND due_at IS NOT NULL;
CREATE INDEX items_blocked ON items (type, priority DESC, order_number)
    WHERE state = 'queued' AND waiting_for IS NOT NULL;
CREATE INDEX items_reserved ON items (reserved_for, due_at) WHERE reserved_for IS NOT NULL;
CREATE INDEX items_overdue ON items (lease_expires_at) WHERE lease_expires_at IS NOT NULL;
CREATE INDEX items_held ON items (lease_holder, lease_expires_at) WHERE lease_holder IS NOT NULL;
CREATE INDEX items_held_by_type ON items (type, lease_expires_at, concurrency_key) WHERE lease_expires_at IS NOT NULL;
CREATE INDEX items_held_by_key ON items (type, concurrency_key, lease_expires_at)
    WHERE lease_expires_at IS NOT NULL AND concurrency_key <> '';
CREATE INDEX items_by_order ON items (order_id, state, due_at, number);
CREATE INDEX items_by_place ON items (order_id, number);

-- Which concurrency key of a line was served last, and when in the order of the log: whoever is next comes after it.
CREATE TABLE turns (
    type            TEXT NOT NULL,
    rank            INTEGER NOT NULL,
    requires        TEXT NOT NULL,
    concurrency_key TEXT NOT NULL,
    served          INTEGER NOT NULL,
    PRIMARY KEY (type, rank, requires)
) STRICT, WITHOUT ROWID;

CREATE TABLE item_needs (
    item_id  TEXT NOT NULL REFERENCES items (id),
    needs_id TEXT NOT NULL REFERENCES items (id),
    PRIMARY KEY (needs_id, item_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE leases (
    item_id      TEXT NOT NULL REFERENCES items (id),
    fence        INTEGER NOT NULL,
    token        TEXT NOT NULL UNIQUE,
    actor_type   TEXT NOT NULL,
    actor_id     TEXT NOT NULL,
    session      TEXT NOT NULL,
    agent        TEXT,
    client       TEXT,
    attempt      INTEGER NOT NULL,
    leased_at    INTEGER NOT NULL,
    expires_at   INTEGER NOT NULL,
    heartbeat_at INTEGER,
    progress     REAL,
    note         TEXT,
    ended_at     INTEGER,
    ending       TEXT,
    PRIMARY KEY (item_id, fence)
) STRICT;

CREATE INDEX leases_by_actor ON leases (actor_id, ended_at);

CREATE TABLE submissions (
    item_id    TEXT NOT NULL REFERENCES items (id),
    key        TEXT NOT NULL,
    fence      INTEGER NOT NULL,
    kind       TEXT NOT NULL,
    checksum   TEXT NOT NULL,
    actor_type TEXT NOT NULL,
    actor_id   TEXT NOT NULL,
    agent      TEXT,
    at         INTEGER NOT NULL,
    evidence   TEXT,
    notes      TEXT,
    result     TEXT NOT NULL,
    PRIMARY KEY (item_id, key)
) STRICT;

-- seq is -1 for a part that was sent without one.
CREATE TABLE parts (
    item_id    TEXT NOT NULL REFERENCES items (id),
    key        TEXT NOT NULL,
    seq        INTEGER NOT NULL,
    status     TEXT NOT NULL,
    checksum   TEXT NOT NULL,
    fence      INTEGER NOT NULL,
    actor_type TEXT NOT NULL,
    actor_id   TEXT NOT NULL,
    agent      TEXT,
    at         INTEGER NOT NULL,
    evidence   TEXT,
    notes      TEXT,
    findings   TEXT,
    payload    TEXT NOT NULL,
    PRIMARY KEY (item_id, key, seq, status)
) STRICT;

CREATE TABLE decisions (
    order_id   TEXT NOT NULL REFERENCES orders (id),
    number     INTEGER NOT NULL,
    verdict    TEXT NOT NULL,
    actor_type TEXT NOT NULL,
    actor_id   TEXT NOT NULL,
    agent      TEXT,
    at         INTEGER NOT NULL,
    digest     TEXT,
    comment    TEXT,
    errors     TEXT,
    PRIMARY KEY (order_id, number)
) STRICT;

CREATE TABLE effects (
    id            TEXT PRIMARY KEY,
    kind          TEXT NOT NULL,
    order_id      TEXT NOT NULL REFERENCES orders (id),
    state         TEXT NOT NULL,
    attempts      INTEGER NOT NULL,
    next_at       INTEGER NOT NULL,
    claim         TEXT,
    claimed_until INTEGER,
    error         TEXT,
    channel       TEXT,
    data          TEXT NOT NULL
) STRICT;

CREATE INDEX effects_pending ON effects (next_at) WHERE state = 'pending' AND channel IS NULL;
CREATE INDEX notifications_pending ON effects (channel, next_at) WHERE state = 'pending' AND channel IS NOT NULL;
CREATE INDEX effects_by_order ON effects (order_id);

-- How far a generator is on a schedule: the slot that it is at, or was at last. Where it begins is a slot without outcome.
CREATE TABLE slots (
    generator     TEXT NOT NULL,
    schedule      TEXT NOT NULL,
    at            INTEGER NOT NULL,
    state         TEXT NOT NULL,
    crashes       INTEGER NOT NULL,
    claim         TEXT,
    claimed_until INTEGER,
    outcome       TEXT,
    PRIMARY KEY (generator, schedule)
) STRICT, WITHOUT ROWID;

-- Not tied to the other tables: the trail outlives what it is about.
CREATE TABLE events (
    seq        INTEGER PRIMARY KEY,
    at         INTEGER NOT NULL,
    event      TEXT NOT NULL,
    order_id   TEXT NOT NULL,
    item_id    TEXT,
    actor_type TEXT NOT NULL,
    actor_id   TEXT NOT NULL,
    agent      TEXT,
    client     TEXT,
    attempt    INTEGER,
    from_state TEXT,
    to_state   TEXT,
    message    TEXT,
    data       TEXT,
    diff       TEXT,
    prev_hash  TEXT NOT NULL,
    hash       TEXT NOT NULL
) STRICT;

CREATE INDEX events_by_order ON events (order_id, seq);
CREATE INDEX events_by_item ON events (item_id, seq) WHERE item_id IS NOT NULL;
CREATE INDEX events_by_name ON events (event, seq);
CREATE INDEX events_by_actor ON events (actor_id, seq);

CREATE TRIGGER events_are_never_changed BEFORE UPDATE ON events
BEGIN
    SELECT RAISE(ABORT, 'events are append-only');
END;

CREATE TRIGGER events_are_never_deleted BEFORE DELETE ON events
BEGIN
    SELECT RAISE(ABORT, 'events are append-only');
END;

-- REPLACE deletes without a word to the trigger above.
CREATE TRIGGER events_are_never_replaced BEFORE INSERT ON events
WHEN EXISTS (SELECT 1 FROM events WHERE seq = NEW.seq)
BEGIN
    SELECT RAISE(ABORT, 'events are append-only');
END;

CREATE TABLE answers (
    scope        TEXT PRIMARY KEY,
    request_hash TEXT NOT NULL,
    created_at   INTEGER NOT NULL,
    answer       TEXT NOT NULL
) STRICT;

CREATE INDEX answers_by_age ON answers (created_at);

-- Who may call over HTTP. Rows are never deleted: they say who had which roles, and that tokens are demanded.
CREATE TABLE tokens (
    id         TEXT PRIMARY KEY,
    name       TEXT NOT NULL,
    kind       TEXT NOT NULL,
    roles      TEXT NOT NULL,
    hash       TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    created_by TEXT NOT NULL,
    expires_at INTEGER,
    revoked_at INTEGER,
    revoked_by TEXT
) STRICT, WITHOUT ROWID;
