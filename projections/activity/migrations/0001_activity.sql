-- The trail, the notifications, and what was counted instead of told.

CREATE TABLE activity (
    tenant_id     uuid NOT NULL,
    event_id      uuid NOT NULL,
    kind          text NOT NULL,
    subject       text COLLATE "C" NOT NULL,
    summary       text NOT NULL,
    actor         text NOT NULL,
    source        text NOT NULL,
    happened_at   timestamptz NOT NULL,
    recorded_at   timestamptz NOT NULL,
    -- The record it stands in.
    topic         text NOT NULL,
    partition     integer NOT NULL,
    record_offset bigint NOT NULL,
    PRIMARY KEY (tenant_id, event_id)
);
CREATE INDEX activity_newest ON activity (tenant_id, recorded_at DESC, event_id DESC);
CREATE INDEX activity_about ON activity (tenant_id, subject, recorded_at DESC, event_id DESC);

CREATE TABLE notification (
    tenant_id       uuid NOT NULL,
    notification_id text COLLATE "C" NOT NULL,
    -- info, warning or critical.
    severity        text NOT NULL,
    title           text NOT NULL,
    body            text NOT NULL,
    subject         text NOT NULL,
    raised_at       timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, notification_id)
);
CREATE INDEX notification_newest ON notification (tenant_id, raised_at DESC, notification_id DESC);

CREATE TABLE notification_read (
    tenant_id       uuid NOT NULL,
    reader          text COLLATE "C" NOT NULL,
    notification_id text COLLATE "C" NOT NULL,
    read_at         timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, reader, notification_id)
);

-- Unread is raised minus read, so that nobody has to count rows.
CREATE TABLE notification_count (
    tenant_id uuid PRIMARY KEY,
    raised    bigint NOT NULL
);

CREATE TABLE reader_count (
    tenant_id uuid NOT NULL,
    reader    text COLLATE "C" NOT NULL,
    read      bigint NOT NULL,
    PRIMARY KEY (tenant_id, reader)
);

-- Webhooks that were passed over, or that ran out of time.
CREATE TABLE webhook_counter (
    tenant_id    uuid NOT NULL,
    source       text COLLATE "C" NOT NULL,
    object       text COLLATE "C" NOT NULL,
    field        text COLLATE "C" NOT NULL,
    problem      text COLLATE "C" NOT NULL,
    count        bigint NOT NULL,
    -- The last one's account, empty when it named none, and its time.
    last_account text NOT NULL,
    last_at      timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, source, object, field, problem)
);

-- What the rule of commands needs to know, so that only those that took effect
-- stand in the trail. Nobody reads it.
CREATE TABLE entity (
    tenant_id uuid NOT NULL,
    -- A resource name.
    entity    text COLLATE "C" NOT NULL,
    version   bigint NOT NULL CHECK (version > 0),
    PRIMARY KEY (tenant_id, entity)
);

CREATE TABLE request (
    tenant_id  uuid NOT NULL,
    entity     text COLLATE "C" NOT NULL,
    request_id uuid NOT NULL,
    PRIMARY KEY (tenant_id, entity, request_id)
);

-- Which admin keys are live, so that a revocation that spares the last one does not
-- stand in the trail as if it had taken effect. Nobody reads it.
CREATE TABLE admin_key (
    tenant_id uuid NOT NULL,
    key_id    text COLLATE "C" NOT NULL,
    live      boolean NOT NULL,
    PRIMARY KEY (tenant_id, key_id)
);

ALTER TABLE activity ENABLE ROW LEVEL SECURITY;
ALTER TABLE activity FORCE ROW LEVEL SECURITY;
CREATE POLICY write_all ON activity TO compline_projector, compline_owner USING (true) WITH CHECK (true);
CREATE POLICY read_own ON activity FOR SELECT TO compline_query
    USING (tenant_id = nullif(current_setting('compline.tenant', true), '')::uuid);

ALTER TABLE notification ENABLE ROW LEVEL SECURITY;
ALTER TABLE notification FORCE ROW LEVEL SECURITY;
CREATE POLICY write_all ON notification TO compline_projector, compline_owner USING (true) WITH CHECK (true);
CREATE POLICY read_own ON notification FOR SELECT TO compline_query
    USING (tenant_id = nullif(current_setting('compline.tenant', true), '')::uuid);

ALTER TABLE notification_read ENABLE ROW LEVEL SECURITY;
ALTER TABLE notification_read FORCE ROW LEVEL SECURITY;
CREATE POLICY write_all ON notification_read TO compline_projector, compline_owner USING (true) WITH CHECK (true);
CREATE POLICY read_own ON notification_read FOR SELECT TO compline_query
    USING (tenant_id = nullif(current_setting('compline.tenant', true), '')::uuid);

ALTER TABLE notification_count ENABLE ROW LEVEL SECURITY;
ALTER TABLE notification_count FORCE ROW LEVEL SECURITY;
CREATE POLICY write_all ON notification_count TO compline_projector, compline_owner USING (true) WITH CHECK (true);
CREATE POLICY read_own ON notification_count FOR SELECT TO compline_query
    USING (tenant_id = nullif(current_setting('compline.tenant', true), '')::uuid);

ALTER TABLE reader_count ENABLE ROW LEVEL SECURITY;
ALTER TABLE reader_count FORCE ROW LEVEL SECURITY;
CREATE POLICY write_all ON reader_count TO compline_projector, compline_owner USING (true) WITH CHECK (true);
CREATE POLICY read_own ON reader_count FOR SELECT TO compline_query
    USING (tenant_id = nullif(current_setting('compline.tenant', true), '')::uuid);

ALTER TABLE webhook_counter ENABLE ROW LEVEL SECURITY;
ALTER TABLE webhook_counter FORCE ROW LEVEL SECURITY;
CREATE POLICY write_all ON webhook_counter TO compline_projector, compline_owner USING (true) WITH CHECK (true);
CREATE POLICY read_own ON webhook_counter FOR SELECT TO compline_query
    USING (tenant_id = nullif(current_setting('compline.tenant', true), '')::uuid);

ALTER TABLE entity ENABLE ROW LEVEL SECURITY;
ALTER TABLE entity FORCE ROW LEVEL SECURITY;
CREATE POLICY write_all ON entity TO compline_projector, compline_owner USING (true) WITH CHECK (true);

ALTER TABLE request ENABLE ROW LEVEL SECURITY;
ALTER TABLE request FORCE ROW LEVEL SECURITY;
CREATE POLICY write_all ON request TO compline_projector, compline_owner USING (true) WITH CHECK (true);

ALTER TABLE admin_key ENABLE ROW LEVEL SECURITY;
ALTER TABLE admin_key FORCE ROW LEVEL SECURITY;
CREATE POLICY write_all ON admin_key TO compline_projector, compline_owner USING (true) WITH CHECK (true);

GRANT SELECT, INSERT, UPDATE ON activity, notification, notification_read, notification_count, reader_count, webhook_counter,
    entity, request, admin_key TO compline_projector;
GRANT SELECT ON activity, notification, notification_read, notification_count, reader_count, webhook_counter
    TO compline_query;
