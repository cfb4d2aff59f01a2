-- Who changed a configuration last, in its own words.
-- +goose Up

ALTER TABLE version ADD COLUMN last_change TEXT NOT NULL DEFAULT '';  -- as the device wrote it, secrets masked; '': its text says nothing

-- Versions that are there already tell it when their texts are derived anew.
UPDATE version SET derived = '';
