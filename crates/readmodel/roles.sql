-- The four roles, none of them superuser. Made once per server, by a role that
-- may create roles; passwords are set by whoever runs this.
DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['compline_owner', 'compline_projector', 'compline_engine', 'compline_query'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) THEN
            EXECUTE format('CREATE ROLE %I LOGIN NOSUPERUSER NOBYPASSRLS NOCREATEROLE NOCREATEDB', name);
        END IF;
    END LOOP;
EXCEPTION
    -- Another process made it in the same instant.
    WHEN duplicate_object OR unique_violation THEN NULL;
END $$;
