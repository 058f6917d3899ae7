-- What engines have decided and not yet told (schema engine). No row of these
-- belongs to a tenant alone, and no role but the engines' may see them.

-- The next number of each output partition; locked last in every transaction, in
-- this key's order, so that numbers commit in order and without holes.
CREATE TABLE counter (
    engine      text NOT NULL,
    topic       text NOT NULL,
    partition   integer NOT NULL,
    last_number bigint NOT NULL DEFAULT 0 CHECK (last_number >= 0),
    PRIMARY KEY (engine, topic, partition)
) WITH (fillfactor = 50);

CREATE TABLE outbox (
    engine    text NOT NULL,
    topic     text NOT NULL,
    partition integer NOT NULL,
    number    bigint NOT NULL CHECK (number > 0),
    key       bytea NOT NULL,
    -- The envelope's exact bytes.
    event     bytea NOT NULL,
    PRIMARY KEY (engine, topic, partition, number)
);

-- The relay of each output partition: its epoch, and the end of what it knows to
-- be in the log.
CREATE TABLE relay (
    engine       text NOT NULL,
    topic        text NOT NULL,
    partition    integer NOT NULL,
    epoch        bigint NOT NULL DEFAULT 0,
    acked_offset bigint NOT NULL DEFAULT -1,
    PRIMARY KEY (engine, topic, partition)
) WITH (fillfactor = 50);

GRANT USAGE ON SCHEMA engine TO compline_engine;
GRANT SELECT, UPDATE ON counter, relay TO compline_engine;
GRANT SELECT, INSERT, DELETE ON outbox TO compline_engine;
