-- Connectors that are gone from their EVSE: what was held of each when it was last withdrawn (R124).
CREATE TABLE gone_connector (
    location_pk      bigint NOT NULL,
    uid_key          text NOT NULL,
    id_key           text NOT NULL,                    -- look-up form, shortened: connectors inside an EVSE may have ids of any length
    id               text NOT NULL,
    source_version   text NOT NULL,
    via              text NOT NULL,
    raw              bytea NOT NULL,                   -- as last received
    doc              bytea NOT NULL,                   -- model.objects.Connector
    received_at      timestamptz NOT NULL,             -- of the EVSE that held it
    withdrawn_at     timestamptz NOT NULL,
    withdrawn_reason text NOT NULL,
    PRIMARY KEY (location_pk, uid_key, id_key)
);

-- Requests to platforms by pulls and repairs, retries and redirects too: what max_requests_per_day counts.
CREATE TABLE request_hour (
    platform_id int NOT NULL REFERENCES platform ON DELETE CASCADE,
    hour        timestamptz NOT NULL,
    requests    bigint NOT NULL,
    PRIMARY KEY (platform_id, hour)
);

-- An EVSE id may be longer than a page of an index takes: its beginning leads to it.
DROP INDEX evse_public_id;
CREATE INDEX evse_public_id ON evse (left(public_id, 120));
