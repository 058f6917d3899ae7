-- Which admin keys are live, so that a revocation that spares the last one does not
-- stand in the trail as if it had taken effect. Nobody reads it.

CREATE TABLE admin_key (
    tenant_id uuid NOT NULL,
    key_id    text COLLATE "C" NOT NULL,
    live      boolean NOT NULL,
    PRIMARY KEY (tenant_id, key_id)
);

ALTER TABLE admin_key ENABLE ROW LEVEL SECURITY;
ALTER TABLE admin_key FORCE ROW LEVEL SECURITY;
CREATE POLICY write_all ON admin_key TO compline_projector, compline_owner USING (true) WITH CHECK (true);

GRANT SELECT, INSERT, UPDATE ON admin_key TO compline_projector;
