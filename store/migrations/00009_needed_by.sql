-- What hangs on a capture or a version is found without reading all there is: a
-- night that let 10,000 captures go read every version as often.
-- +goose Up

-- Answers "was a version made of this capture".
CREATE INDEX version_by_capture ON version (capture_id);

-- Answer "was this version approved, was it pinned".
CREATE INDEX approval_by_version ON approval (version_id);
CREATE INDEX baseline_by_version ON baseline (version_id);
