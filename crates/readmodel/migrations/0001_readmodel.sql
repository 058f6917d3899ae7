-- The protocol's own tables (schema compline). None has rows of a tenant that
-- the query role may read but parked_key, which has a policy; the others are
-- seen by it through the view `seen` alone.

CREATE TABLE generation (
    projection  text NOT NULL,
    generation  integer NOT NULL,
    schema_name text NOT NULL UNIQUE,
    created_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (projection, generation)
);

-- The generation that readers read.
CREATE TABLE pointer (
    projection text PRIMARY KEY,
    generation integer NOT NULL,
    FOREIGN KEY (projection, generation) REFERENCES generation
);

-- Rows are made only together with their generation.
CREATE TABLE checkpoint (
    projection    text NOT NULL,
    generation    integer NOT NULL,
    topic         text NOT NULL,
    partition     integer NOT NULL,
    next_offset   bigint NOT NULL CHECK (next_offset >= 0),
    last_event_id uuid,
    epoch         bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (projection, generation, topic, partition)
) WITH (fillfactor = 50);

CREATE TABLE mark (
    projection text NOT NULL,
    generation integer NOT NULL,
    topic      text NOT NULL,
    partition  integer NOT NULL,
    producer   text NOT NULL,
    number     bigint NOT NULL CHECK (number > 0),
    PRIMARY KEY (projection, generation, topic, partition, producer)
) WITH (fillfactor = 50);

CREATE TABLE parked_key (
    projection   text NOT NULL,
    generation   integer NOT NULL,
    topic        text NOT NULL,
    partition    integer NOT NULL,
    key          bytea NOT NULL,
    tenant_id    uuid,
    first_offset bigint NOT NULL,
    reason       text NOT NULL,
    code_version text NOT NULL,
    parked_at    timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (projection, generation, topic, partition, key)
);

CREATE TABLE parked_record (
    projection    text NOT NULL,
    generation    integer NOT NULL,
    topic         text NOT NULL,
    partition     integer NOT NULL,
    key           bytea NOT NULL,
    record_offset bigint NOT NULL,
    event_id      uuid,
    PRIMARY KEY (projection, generation, topic, partition, key, record_offset),
    FOREIGN KEY (projection, generation, topic, partition, key) REFERENCES parked_key ON DELETE CASCADE
);

-- What a read may know of a position: no event ids, no epochs.
CREATE VIEW seen AS
    SELECT pointer.projection, pointer.generation, topic, partition, next_offset
    FROM pointer JOIN checkpoint USING (projection, generation);

ALTER TABLE parked_key ENABLE ROW LEVEL SECURITY;
ALTER TABLE parked_key FORCE ROW LEVEL SECURITY;
CREATE POLICY write_all ON parked_key TO compline_projector, compline_engine, compline_owner USING (true) WITH CHECK (true);
CREATE POLICY read_own ON parked_key FOR SELECT TO compline_query
    USING (tenant_id = nullif(current_setting('compline.tenant', true), '')::uuid);

GRANT USAGE ON SCHEMA compline TO compline_projector, compline_engine, compline_query;
GRANT SELECT ON generation, pointer TO compline_projector, compline_engine, compline_query;
GRANT SELECT, UPDATE ON checkpoint TO compline_projector, compline_engine;
GRANT SELECT, INSERT, UPDATE, DELETE ON mark, parked_key, parked_record TO compline_projector, compline_engine;
GRANT SELECT ON seen, parked_key TO compline_query;
