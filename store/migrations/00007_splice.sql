-- From here on a text may be packed as a splice of its base, which an older muster
-- could not read: nothing else changes.
-- +goose Up

SELECT 1;
