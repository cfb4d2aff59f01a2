-- A site or a credential may be called like a device: an alert about the one is
-- not one about the other, though kind and subject are the same.
-- +goose Up

ALTER TABLE alert ADD COLUMN is_group INTEGER NOT NULL DEFAULT 0 CHECK (is_group IN (0, 1));  -- 1: the subject is a site or a cause, not a device

UPDATE alert SET is_group = 1 WHERE detail ->> '$.group';

DROP INDEX alert_firing;

-- There is one alert of a kind and subject at a time, and one of a group. Answers
-- "what fires" too.
CREATE UNIQUE INDEX alert_firing ON alert (kind, subject, is_group) WHERE state = 'firing';
