-- Who the tenants are, what they have connected, and who may enter.
--
-- `version` counts the effective commands on an entity; what engines say about it
-- does not count. Ids are compared as bytes, so that pages are cut alike on every
-- machine.

CREATE TABLE tenant (
    tenant_id    uuid PRIMARY KEY,
    display_name text NOT NULL,
    created_at   timestamptz NOT NULL,
    version      bigint NOT NULL CHECK (version > 0)
);

CREATE TABLE account (
    tenant_id         uuid NOT NULL,
    ad_account_id     text COLLATE "C" NOT NULL,
    display_name      text NOT NULL,
    connected         boolean NOT NULL,
    -- When it was last connected.
    connected_at      timestamptz,
    -- Meta's account_status and disable_reason; 0 when unknown.
    status            integer NOT NULL,
    disable_reason    integer NOT NULL,
    status_changed_at timestamptz,
    version           bigint NOT NULL CHECK (version >= 0),
    PRIMARY KEY (tenant_id, ad_account_id)
);

CREATE TABLE api_key (
    tenant_id     uuid NOT NULL,
    key_id        text COLLATE "C" NOT NULL,
    display_name  text NOT NULL,
    role          text NOT NULL,
    -- The log and this table know only the hash.
    secret_sha256 bytea NOT NULL CHECK (octet_length(secret_sha256) = 32),
    -- Absent on a key that was revoked before it was issued: it never enters.
    issued_at     timestamptz,
    revoked_at    timestamptz,
    version       bigint NOT NULL CHECK (version > 0),
    PRIMARY KEY (tenant_id, key_id)
);

-- What became of each command. The first record with a request id counts.
CREATE TABLE request (
    tenant_id     uuid NOT NULL,
    -- The resource name of what the command changes.
    entity        text COLLATE "C" NOT NULL,
    request_id    uuid NOT NULL,
    event_type    text NOT NULL,
    -- The last: the command spares the tenant's last live admin key, and met it.
    verdict       text NOT NULL CHECK (verdict IN ('effective', 'stale', 'last_admin')),
    -- The entity's version after it.
    version       bigint NOT NULL,
    topic         text NOT NULL,
    partition     integer NOT NULL,
    record_offset bigint NOT NULL,
    PRIMARY KEY (tenant_id, entity, request_id)
);

ALTER TABLE tenant ENABLE ROW LEVEL SECURITY;
ALTER TABLE tenant FORCE ROW LEVEL SECURITY;
CREATE POLICY write_all ON tenant TO compline_projector, compline_owner USING (true) WITH CHECK (true);
CREATE POLICY read_own ON tenant FOR SELECT TO compline_query
    USING (tenant_id = nullif(current_setting('compline.tenant', true), '')::uuid);

ALTER TABLE account ENABLE ROW LEVEL SECURITY;
ALTER TABLE account FORCE ROW LEVEL SECURITY;
CREATE POLICY write_all ON account TO compline_projector, compline_owner USING (true) WITH CHECK (true);
CREATE POLICY read_own ON account FOR SELECT TO compline_query
    USING (tenant_id = nullif(current_setting('compline.tenant', true), '')::uuid);

ALTER TABLE api_key ENABLE ROW LEVEL SECURITY;
ALTER TABLE api_key FORCE ROW LEVEL SECURITY;
CREATE POLICY write_all ON api_key TO compline_projector, compline_owner USING (true) WITH CHECK (true);
CREATE POLICY read_own ON api_key FOR SELECT TO compline_query
    USING (tenant_id = nullif(current_setting('compline.tenant', true), '')::uuid);

ALTER TABLE request ENABLE ROW LEVEL SECURITY;
ALTER TABLE request FORCE ROW LEVEL SECURITY;
CREATE POLICY write_all ON request TO compline_projector, compline_owner USING (true) WITH CHECK (true);
CREATE POLICY read_own ON request FOR SELECT TO compline_query
    USING (tenant_id = nullif(current_setting('compline.tenant', true), '')::uuid);

GRANT SELECT, INSERT, UPDATE ON tenant, account, api_key, request TO compline_projector;
GRANT SELECT ON tenant, account, api_key, request TO compline_query;
