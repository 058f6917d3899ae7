-- What ads are doing now, what they did, what hinders them, and how many do what.
--
-- Texts that are compared or sorted have the collation "C", so that Postgres and
-- a filter evaluated in memory agree on what is less.

CREATE TABLE ad (
    tenant_id         uuid NOT NULL,
    ad_id             text COLLATE "C" NOT NULL,
    ad_account_id     text COLLATE "C" NOT NULL,
    -- AD, AD_SET, CAMPAIGN, ACCOUNT; empty when no event said.
    level             text COLLATE "C" NOT NULL,
    -- Meta's effective_status; empty while only issues are known.
    status            text COLLATE "C" NOT NULL,
    old_status        text COLLATE "C" NOT NULL,
    reason            text COLLATE "C" NOT NULL,
    placements        text[] NOT NULL,
    -- By Meta's clock; NULL while no status is known.
    status_changed_at timestamptz,
    -- The same to sort by. A column, for row level security lets no COALESCE into
    -- an index condition: it might leak.
    status_order      timestamptz NOT NULL
        GENERATED ALWAYS AS (coalesce(status_changed_at, timestamptz '-infinity')) STORED,
    fetch_needed      boolean NOT NULL,
    -- Rows of ad_issue.
    open_issues       integer NOT NULL,
    -- Events folded.
    version           bigint NOT NULL,
    -- recorded_at, partition and offset of the last of them.
    updated_at        timestamptz NOT NULL,
    log_partition     integer NOT NULL,
    log_offset        bigint NOT NULL,
    PRIMARY KEY (tenant_id, ad_id)
) WITH (fillfactor = 80);

-- One for each order of ListAds, one for its commonest filter, one for watchers.
CREATE INDEX ad_by_status_time ON ad (tenant_id, status_order, ad_id);
CREATE INDEX ad_by_update_time ON ad (tenant_id, updated_at, ad_id);
CREATE INDEX ad_by_account_status ON ad (tenant_id, ad_account_id, status, ad_id);
CREATE INDEX ad_by_log ON ad (tenant_id, log_partition, log_offset);

-- Every status change as it was appended, late ones included. An ad's events
-- stand on one partition, so the key's order is the log's.
CREATE TABLE ad_status_history (
    tenant_id     uuid NOT NULL,
    ad_id         text COLLATE "C" NOT NULL,
    log_partition integer NOT NULL,
    log_offset    bigint NOT NULL,
    event_id      uuid NOT NULL,
    old_status    text NOT NULL,
    new_status    text NOT NULL,
    reason        text NOT NULL,
    placements    text[] NOT NULL,
    changed_at    timestamptz NOT NULL,
    recorded_at   timestamptz NOT NULL,
    late          boolean NOT NULL,
    fetch_needed  boolean NOT NULL,
    PRIMARY KEY (tenant_id, ad_id, log_partition, log_offset)
);

CREATE TABLE ad_issue (
    tenant_id  uuid NOT NULL,
    ad_id      text COLLATE "C" NOT NULL,
    error_code text COLLATE "C" NOT NULL,
    summary    text NOT NULL,
    message    text NOT NULL,
    raised_at  timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, ad_id, error_code)
);

-- Shared by all partitions of the topic, so it is only ever added to. A count
-- that came back to 0 stays.
CREATE TABLE ad_count (
    tenant_id     uuid NOT NULL,
    ad_account_id text COLLATE "C" NOT NULL,
    status        text COLLATE "C" NOT NULL,
    ads           bigint NOT NULL,
    PRIMARY KEY (tenant_id, ad_account_id, status)
) WITH (fillfactor = 50);

ALTER TABLE ad ENABLE ROW LEVEL SECURITY;
ALTER TABLE ad FORCE ROW LEVEL SECURITY;
CREATE POLICY write_all ON ad TO compline_projector, compline_owner USING (true) WITH CHECK (true);
CREATE POLICY read_own ON ad FOR SELECT TO compline_query
    USING (tenant_id = nullif(current_setting('compline.tenant', true), '')::uuid);

ALTER TABLE ad_status_history ENABLE ROW LEVEL SECURITY;
ALTER TABLE ad_status_history FORCE ROW LEVEL SECURITY;
CREATE POLICY write_all ON ad_status_history TO compline_projector, compline_owner USING (true) WITH CHECK (true);
CREATE POLICY read_own ON ad_status_history FOR SELECT TO compline_query
    USING (tenant_id = nullif(current_setting('compline.tenant', true), '')::uuid);

ALTER TABLE ad_issue ENABLE ROW LEVEL SECURITY;
ALTER TABLE ad_issue FORCE ROW LEVEL SECURITY;
CREATE POLICY write_all ON ad_issue TO compline_projector, compline_owner USING (true) WITH CHECK (true);
CREATE POLICY read_own ON ad_issue FOR SELECT TO compline_query
    USING (tenant_id = nullif(current_setting('compline.tenant', true), '')::uuid);

ALTER TABLE ad_count ENABLE ROW LEVEL SECURITY;
ALTER TABLE ad_count FORCE ROW LEVEL SECURITY;
CREATE POLICY write_all ON ad_count TO compline_projector, compline_owner USING (true) WITH CHECK (true);
CREATE POLICY read_own ON ad_count FOR SELECT TO compline_query
    USING (tenant_id = nullif(current_setting('compline.tenant', true), '')::uuid);

GRANT SELECT, INSERT, UPDATE, DELETE ON ad, ad_status_history, ad_issue, ad_count TO compline_projector;
GRANT SELECT ON ad, ad_status_history, ad_issue, ad_count TO compline_query;
