-- A verdict beside effective and stale: the command spares the tenant's last live
-- admin key, and met it.
ALTER TABLE request ADD CONSTRAINT request_verdict
    CHECK (verdict IN ('effective', 'stale', 'last_admin'));
