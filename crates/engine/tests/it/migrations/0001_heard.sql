-- How many inputs of each account were heard.
CREATE TABLE heard (
    tenant_id  uuid NOT NULL,
    account_id text NOT NULL,
    inputs     bigint NOT NULL,
    PRIMARY KEY (tenant_id, account_id)
);
ALTER TABLE heard ENABLE ROW LEVEL SECURITY;
ALTER TABLE heard FORCE ROW LEVEL SECURITY;
CREATE POLICY write_all ON heard TO compline_engine, compline_owner USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE ON heard TO compline_engine;
