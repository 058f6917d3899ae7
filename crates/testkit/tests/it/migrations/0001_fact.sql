CREATE TABLE fact (
    tenant_id uuid NOT NULL,
    id        text NOT NULL,
    says      text NOT NULL,
    PRIMARY KEY (tenant_id, id)
);
ALTER TABLE fact ENABLE ROW LEVEL SECURITY;
ALTER TABLE fact FORCE ROW LEVEL SECURITY;
CREATE POLICY write_all ON fact TO compline_projector, compline_owner USING (true) WITH CHECK (true);
CREATE POLICY read_own ON fact FOR SELECT TO compline_query
    USING (tenant_id = nullif(current_setting('compline.tenant', true), '')::uuid);
GRANT SELECT, INSERT, UPDATE, DELETE ON fact TO compline_projector;
GRANT SELECT ON fact TO compline_query;

-- Somebody forgot the policy.
CREATE TABLE leak (tenant_id uuid PRIMARY KEY);
GRANT SELECT, INSERT ON leak TO compline_projector;
GRANT SELECT ON leak TO compline_query;
