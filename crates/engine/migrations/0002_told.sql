-- Outputs that stand in the log and that this database did not know: its tables
-- were lost, or older than the log. Whichever of them is decided again is not told
-- again, and goes from here in the transaction that decides it.
CREATE TABLE told (
    engine   text NOT NULL,
    event_id uuid NOT NULL,
    -- By the database's clock.
    found_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (engine, event_id)
);

GRANT SELECT, INSERT, DELETE ON told TO compline_engine;
