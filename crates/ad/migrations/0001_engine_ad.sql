-- What the ad engine remembers, folded from webhook.meta and account (schema
-- engine_ad). Ids are compared as bytes. Nothing here is granted to the query role.

-- The version of a tenant's connection to an ad account: its effective commands.
CREATE TABLE watch (
    tenant_id  uuid NOT NULL,
    account_id text COLLATE "C" NOT NULL,
    version    bigint NOT NULL CHECK (version > 0),
    PRIMARY KEY (tenant_id, account_id)
);
CREATE INDEX watch_by_account ON watch (account_id);

-- From when to when the tenant watched the account, by recorded_at. Kept for
-- ever: whose a webhook is must not hang on which topic was read first.
CREATE TABLE watch_span (
    tenant_id  uuid NOT NULL,
    account_id text COLLATE "C" NOT NULL,
    span       integer NOT NULL CHECK (span >= 0),
    opened_at  timestamptz NOT NULL,
    closed_at  timestamptz,
    PRIMARY KEY (tenant_id, account_id, span)
);

CREATE TABLE seen_request (
    tenant_id  uuid NOT NULL,
    account_id text COLLATE "C" NOT NULL,
    request_id uuid NOT NULL,
    PRIMARY KEY (tenant_id, account_id, request_id)
);

-- The account is part of the key because a row may only be touched under its
-- account's lock.
CREATE TABLE ad_state (
    tenant_id    uuid NOT NULL,
    account_id   text COLLATE "C" NOT NULL,
    ad_id        text COLLATE "C" NOT NULL,
    -- Meta's effective_status as it came; empty while none was told.
    status       text NOT NULL,
    -- The newest entry.time that was applied: the ad's version.
    changed_at   timestamptz NOT NULL,
    fetch_needed boolean NOT NULL,
    -- People were warned and not yet told that it is over.
    alarmed      boolean NOT NULL,
    -- Digests of the open issues, 16 bytes each, oldest first.
    issues       bytea NOT NULL,
    PRIMARY KEY (tenant_id, account_id, ad_id)
) WITH (fillfactor = 70);

CREATE TABLE account_state (
    tenant_id      uuid NOT NULL,
    account_id     text COLLATE "C" NOT NULL,
    status         integer NOT NULL,
    disable_reason integer NOT NULL,
    changed_at     timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, account_id)
);

-- Content ids of the changes of the last 37 hours. A duplicate has its
-- original's entry_time, so the key keeps new rows and look-ups together.
CREATE TABLE seen_change (
    account_id       text COLLATE "C" NOT NULL,
    entry_time       timestamptz NOT NULL,
    content_id       bytea NOT NULL CHECK (octet_length(content_id) = 32),
    recorded_at      timestamptz NOT NULL,
    source_partition integer NOT NULL,
    PRIMARY KEY (account_id, entry_time, content_id)
);
CREATE INDEX seen_change_by_age ON seen_change (source_partition, recorded_at);

-- How far each partition of webhook.meta is folded, by recorded_at: what
-- seen_change is pruned by, for the clock may be days ahead of the fold.
CREATE TABLE progress (
    source_partition integer PRIMARY KEY,
    recorded_at      timestamptz NOT NULL
) WITH (fillfactor = 50);

-- Changes of accounts that nobody watched when they came, and those that were
-- given to a tenant but wait their turn. The record is webhook.meta's.
CREATE TABLE pending (
    account_id       text COLLATE "C" NOT NULL,
    source_partition integer NOT NULL,
    record_offset    bigint NOT NULL,
    -- Which change of the record's body it is.
    ordinal          integer NOT NULL,
    recorded_at      timestamptz NOT NULL,
    event_id         uuid NOT NULL,
    correlation_id   uuid,
    traceparent      text NOT NULL,
    -- The change as a webhook's body of its own, in the sender's bytes.
    body             bytea NOT NULL,
    -- Whose it is by now; empty while nobody's.
    owed_to          uuid[] NOT NULL,
    PRIMARY KEY (account_id, source_partition, record_offset, ordinal)
);
CREATE INDEX pending_owed ON pending (account_id) WHERE owed_to <> '{}';
CREATE INDEX pending_by_age ON pending (recorded_at) WHERE owed_to = '{}';

ALTER TABLE watch ENABLE ROW LEVEL SECURITY;
ALTER TABLE watch FORCE ROW LEVEL SECURITY;
CREATE POLICY write_all ON watch TO compline_engine, compline_owner USING (true) WITH CHECK (true);

ALTER TABLE watch_span ENABLE ROW LEVEL SECURITY;
ALTER TABLE watch_span FORCE ROW LEVEL SECURITY;
CREATE POLICY write_all ON watch_span TO compline_engine, compline_owner USING (true) WITH CHECK (true);

ALTER TABLE seen_request ENABLE ROW LEVEL SECURITY;
ALTER TABLE seen_request FORCE ROW LEVEL SECURITY;
CREATE POLICY write_all ON seen_request TO compline_engine, compline_owner USING (true) WITH CHECK (true);

ALTER TABLE ad_state ENABLE ROW LEVEL SECURITY;
ALTER TABLE ad_state FORCE ROW LEVEL SECURITY;
CREATE POLICY write_all ON ad_state TO compline_engine, compline_owner USING (true) WITH CHECK (true);

ALTER TABLE account_state ENABLE ROW LEVEL SECURITY;
ALTER TABLE account_state FORCE ROW LEVEL SECURITY;
CREATE POLICY write_all ON account_state TO compline_engine, compline_owner USING (true) WITH CHECK (true);

GRANT SELECT, INSERT, UPDATE, DELETE
    ON watch, watch_span, seen_request, ad_state, account_state, seen_change, progress, pending
    TO compline_engine;
