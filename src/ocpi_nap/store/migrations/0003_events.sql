-- What the public can see change, one row after the other (room: feed). One process at a time writes it, out of the change feed;
-- /changes, SSE and MQTT read it. `seq` grows in the order of the commits, so reading after a number misses nothing.

CREATE TABLE event (
    seq          bigint PRIMARY KEY,
    at           timestamptz NOT NULL DEFAULT clock_timestamp(),
    kind         text NOT NULL,     -- location | status | tariff
    change       text NOT NULL,     -- added | changed | removed
    country_code text NOT NULL,
    party_id     text NOT NULL,
    id           text NOT NULL,     -- of the location or tariff
    row_pk       bigint NOT NULL,   -- location.pk or tariff.pk
    lon          double precision,  -- where the location is, or was
    lat          double precision,
    evse_id      text,              -- kind 'status'
    status       text,              -- kind 'status'
    status_at    timestamptz,       -- kind 'status'
    reason       text,              -- change 'removed'
    evses        jsonb              -- kind 'location': {"appeared": [[evse id, status, time]], "vanished": [evse id]}
);
CREATE INDEX event_at ON event (at);

-- How far the events are written: position in the change feed, number of the last event.
CREATE TABLE event_head (
    single  boolean PRIMARY KEY DEFAULT true CHECK (single),
    started boolean NOT NULL DEFAULT false,
    xid     xid8 NOT NULL DEFAULT '0',
    id      bigint NOT NULL DEFAULT 0,
    seq     bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 50);
INSERT INTO event_head DEFAULT VALUES;

-- What the public saw after the last event: comparing with it tells additions and withdrawals from mere changes.
CREATE TABLE public_location (
    location_pk  bigint PRIMARY KEY,
    country_code text NOT NULL,
    party_id     text NOT NULL,
    id           text NOT NULL,
    lon          double precision,
    lat          double precision,
    evses        jsonb NOT NULL     -- uid key -> [EVSE id, snapshot in which its status was told when it appeared, or null]
);
CREATE TABLE public_tariff (
    tariff_pk    bigint PRIMARY KEY,
    country_code text NOT NULL,
    party_id     text NOT NULL,
    id           text NOT NULL
);
CREATE TABLE public_operator (
    country_code text NOT NULL,
    party_id     text NOT NULL,
    description  text NOT NULL,     -- digest of platform, name, URL and details
    PRIMARY KEY (country_code, party_id)
);

-- Requests of each reader in the current window (contract section 0). Unlogged: a crash forgives.
CREATE UNLOGGED TABLE request_count (
    bucket       text NOT NULL,     -- api | mqtt
    client       text NOT NULL,     -- address or IPv6 network
    window_start timestamptz NOT NULL,
    requests     bigint NOT NULL,
    PRIMARY KEY (bucket, client, window_start)
);
