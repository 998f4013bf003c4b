-- The canonical copy of what CPOs say (room: intake writes, feed reads).
-- raw: the JSON last received for the node, in the sender's own shape (PATCHes merged in); doc: canonical JSON of model.objects.
-- Integrity between these tables is kept by the writer: foreign keys would cost a trigger per row on the hottest path.

CREATE TABLE location (
    pk                  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    platform_id         int NOT NULL REFERENCES platform ON DELETE CASCADE,
    country_code        text NOT NULL,                 -- upper case
    party_id            text NOT NULL,                 -- upper case
    id_key              text NOT NULL,                 -- look-up form: folded from 2.2.1 on, verbatim in 2.1.1 (R45)
    id                  text NOT NULL,                 -- as first received
    source_version      text NOT NULL,
    via                 text NOT NULL CHECK (via IN ('push', 'pull')),
    raw                 bytea NOT NULL,                -- without "evses"
    doc                 bytea NOT NULL,                -- model.objects.Location, without evses
    pulled_hash         bytea,                         -- of the whole object as last pulled; null after a push touched it
    source_last_updated timestamptz,                   -- what the source sent for this very node (D8)
    received_at         timestamptz NOT NULL,
    created_at          timestamptz NOT NULL,
    modified_at         timestamptz NOT NULL,          -- when the public description last changed
    publish             boolean NOT NULL,              -- effective publish flag (D15)
    withdrawn_at        timestamptz,                   -- tombstone
    withdrawn_reason    text,
    UNIQUE (platform_id, country_code, party_id, id_key)
);
ALTER TABLE location ALTER raw SET STORAGE EXTERNAL, ALTER doc SET STORAGE EXTERNAL;
ALTER TABLE location SET (toast_tuple_target = 8160);

CREATE TABLE evse (
    location_pk    bigint NOT NULL,
    uid_key        text NOT NULL,
    uid            text NOT NULL,
    ordinal        int NOT NULL,                       -- order inside the location as received
    public_id      text NOT NULL,                      -- evse_id, else uid
    source_version text NOT NULL,
    via            text NOT NULL,
    raw            bytea NOT NULL,                     -- with connectors, status and last_updated as last received in a document
    doc            bytea NOT NULL,                     -- model.objects.Evse, with connectors
    received_at    timestamptz NOT NULL,
    created_at     timestamptz NOT NULL,
    modified_at    timestamptz NOT NULL,               -- description (status apart)
    PRIMARY KEY (location_pk, uid_key)
);
ALTER TABLE evse ALTER raw SET STORAGE EXTERNAL, ALTER doc SET STORAGE EXTERNAL;
ALTER TABLE evse SET (toast_tuple_target = 8160);

-- Status apart from description: a status PATCH rewrites this narrow row only.
CREATE TABLE evse_state (
    location_pk         bigint NOT NULL,
    uid_key             text NOT NULL,
    status              text NOT NULL,                 -- canonical OCPI Status
    status_raw          text,                          -- as sent, when it differs
    status_at           timestamptz NOT NULL,          -- when the status last changed (source time)
    source_last_updated timestamptz,                   -- what the source sent for this EVSE node (D8)
    last_updated_raw    text,                          -- its text, for the sender's own GET
    received_at         timestamptz NOT NULL,
    via                 text NOT NULL,
    withdrawn_at        timestamptz,
    withdrawn_reason    text,
    PRIMARY KEY (location_pk, uid_key)
) WITH (fillfactor = 80);

CREATE TABLE tariff (
    pk                  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    platform_id         int NOT NULL REFERENCES platform ON DELETE CASCADE,
    country_code        text NOT NULL,
    party_id            text NOT NULL,
    id_key              text NOT NULL,
    id                  text NOT NULL,
    source_version      text NOT NULL,
    via                 text NOT NULL,
    raw                 bytea NOT NULL,
    doc                 bytea NOT NULL,                -- model.objects.Tariff
    pulled_hash         bytea,
    source_last_updated timestamptz,
    received_at         timestamptz NOT NULL,
    created_at          timestamptz NOT NULL,
    modified_at         timestamptz NOT NULL,
    withdrawn_at        timestamptz,
    withdrawn_reason    text,
    UNIQUE (platform_id, country_code, party_id, id_key)
);

-- The change feed. Read it in the order (xid, id) and only below pg_snapshot_xmin(pg_current_snapshot()):
-- ids are taken before their transactions commit.
CREATE TABLE change (
    id          bigint GENERATED ALWAYS AS IDENTITY,
    xid         xid8 NOT NULL DEFAULT pg_current_xact_id(),
    at          timestamptz NOT NULL DEFAULT clock_timestamp(),
    kind        text NOT NULL,   -- 'status': one EVSE's status; 'location': anything else of it; 'location-new'; 'tariff'; 'registry': operators or platforms
    location_pk bigint,
    uid_key     text,
    tariff_pk   bigint,
    status      text,            -- kind 'status' only
    status_at   timestamptz,
    PRIMARY KEY (xid, id)
);
CREATE INDEX change_at ON change (at);

-- How far a reader of the feed has come (MQTT publisher); survives restarts.
CREATE TABLE feed_position (
    reader text PRIMARY KEY,
    xid    xid8 NOT NULL,
    id     bigint NOT NULL
);

-- Every tolerated or refused deviation (R198), aggregated.
CREATE TABLE issue (
    platform_id int NOT NULL REFERENCES platform ON DELETE CASCADE,
    object      text NOT NULL,       -- "locations/FI/ABC/LOC1/EVSE1"
    path        text NOT NULL,       -- JSON path inside it
    rule        text NOT NULL,
    message     text NOT NULL,
    sample      text NOT NULL,
    refused     boolean NOT NULL,    -- true: the input was not stored
    first_seen  timestamptz NOT NULL,
    last_seen   timestamptz NOT NULL,
    count       bigint NOT NULL,
    PRIMARY KEY (platform_id, object, path, rule)
);

CREATE TABLE crawl (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    platform_id int NOT NULL REFERENCES platform ON DELETE CASCADE,
    module      text NOT NULL,       -- locations | tariffs
    scope       text NOT NULL,       -- 'platform' or 'CC*PPP'
    full_pull   boolean NOT NULL,
    started_at  timestamptz NOT NULL,
    server_time timestamptz,         -- the peer's clock at the start (R120)
    finished_at timestamptz,
    complete    boolean NOT NULL DEFAULT false,
    pages       int NOT NULL DEFAULT 0,
    objects     int NOT NULL DEFAULT 0,
    new         int NOT NULL DEFAULT 0,
    changed     int NOT NULL DEFAULT 0,
    unchanged   int NOT NULL DEFAULT 0,
    withdrawn   int NOT NULL DEFAULT 0,
    withheld    int NOT NULL DEFAULT 0,   -- would be withdrawn, held back by the guard (D17)
    refused     int NOT NULL DEFAULT 0,
    ignored     int NOT NULL DEFAULT 0,   -- of parties outside the allowed set
    issues      int NOT NULL DEFAULT 0,
    error       text
);
CREATE INDEX crawl_platform ON crawl (platform_id, module, id DESC);

-- When each platform is due next; the job queue only carries what is due.
CREATE TABLE schedule (
    platform_id int NOT NULL REFERENCES platform ON DELETE CASCADE,
    full_pull   boolean NOT NULL,
    due_at      timestamptz NOT NULL,
    PRIMARY KEY (platform_id, full_pull)
);
