-- What each ad's status is now. Rows from before have none until a rebuild fills it.
ALTER TABLE tally ADD COLUMN last_status text NOT NULL DEFAULT '';
