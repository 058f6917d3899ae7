-- Several generations of a projection side by side (protocol §5).

ALTER TABLE generation
    -- The last migration that its tables went through.
    ADD COLUMN layout bigint NOT NULL DEFAULT 1,
    -- The row stays, so that a number never means two generations.
    ADD COLUMN dropped_at timestamptz;

-- What was read before, to roll back to.
ALTER TABLE pointer ADD COLUMN previous integer;

-- No batch goes beyond it, for as long as the session lives that says so.
ALTER TABLE checkpoint ADD COLUMN held_at bigint;

-- Parked keys that somebody gave up: whose rows lack what, and why.
CREATE TABLE discarded_key (
    projection   text NOT NULL,
    generation   integer NOT NULL,
    topic        text NOT NULL,
    partition    integer NOT NULL,
    key          bytea NOT NULL,
    tenant_id    uuid,
    offsets      bigint[] NOT NULL,
    parked_for   text NOT NULL,
    reason       text NOT NULL,
    discarded_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (projection, generation, topic, partition, key, discarded_at)
);
