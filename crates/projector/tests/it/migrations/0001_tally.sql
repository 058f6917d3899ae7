-- How often each ad's status was set, and the statuses in the order they came.
CREATE TABLE tally (
    tenant_id uuid NOT NULL,
    ad_id     text NOT NULL,
    events    bigint NOT NULL,
    statuses  text NOT NULL CHECK (statuses !~ 'REFUSED'),
    PRIMARY KEY (tenant_id, ad_id)
);
ALTER TABLE tally ENABLE ROW LEVEL SECURITY;
ALTER TABLE tally FORCE ROW LEVEL SECURITY;
CREATE POLICY write_all ON tally TO compline_projector, compline_owner USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON tally TO compline_projector;
CREATE POLICY read_own ON tally FOR SELECT TO compline_query
    USING (tenant_id = nullif(current_setting('compline.tenant', true), '')::uuid);
GRANT SELECT ON tally TO compline_query;
