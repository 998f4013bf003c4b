-- Who may deliver, and how we reach them (room: registry).

CREATE TABLE platform (
    id               int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name             text NOT NULL UNIQUE,             -- the NAP's own handle, used on the command line
    environment      text NOT NULL CHECK (environment IN ('test', 'production')),
    versions_url     text NOT NULL,
    country_code     text NOT NULL,                    -- PLATFORM_COUNTRY_CODE, upper case
    party_id         text NOT NULL,                    -- PLATFORM_PARTY_ID, upper case
    token_encoding   text NOT NULL CHECK (token_encoding IN ('raw', 'base64', 'auto')),
    learnt_encoding  text CHECK (learnt_encoding IN ('raw', 'base64')),  -- what auto (or the fallback) found to work
    settings         jsonb NOT NULL DEFAULT '{}',      -- model.platform.PlatformSettings, only what differs from the default
    state            text NOT NULL DEFAULT 'unregistered',
    paused           boolean NOT NULL DEFAULT false,
    version          text,                             -- negotiated OCPI version
    endpoints        jsonb NOT NULL DEFAULT '{}',      -- {"credentials": url, "locations": url, "tariffs": url}
    peer_roles       jsonb NOT NULL DEFAULT '[]',      -- credentials roles as the peer sent them
    outbound_a       bytea,                            -- encrypted token A given to us (R12)
    outbound_c       bytea,                            -- encrypted token we send once registered (C, or B of their POST)
    last_error       jsonb,                            -- {"at","step","message","answer","advice"}
    disconnected_at  timestamptz,                      -- set by unregistration: publication ends after a while (D19)
    created_at       timestamptz NOT NULL DEFAULT now(),
    updated_at       timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE operator (
    platform_id   int NOT NULL REFERENCES platform ON DELETE CASCADE,
    country_code  text NOT NULL,                       -- upper case
    party_id      text NOT NULL,                       -- upper case
    environment   text NOT NULL,                       -- copy of platform.environment: one party, one platform in each (R194)
    name          text NOT NULL,
    url           text,
    details       jsonb,                               -- OCPI BusinessDetails; null: built from name and url
    source        text NOT NULL DEFAULT 'configured' CHECK (source IN ('configured', 'announced')),
    PRIMARY KEY (platform_id, country_code, party_id),
    UNIQUE (environment, country_code, party_id)
);

-- Tokens others use on us, as hashes only (R12). A: issued for a registration the CPO starts; B: what they call us with.
CREATE TABLE token (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    platform_id   int NOT NULL REFERENCES platform ON DELETE CASCADE,
    kind          text NOT NULL CHECK (kind IN ('A', 'B')),
    state         text NOT NULL CHECK (state IN ('issued', 'pending', 'active', 'retiring')),
    hash          bytea NOT NULL UNIQUE,               -- sha256 of the token's UTF-8 bytes
    expires_at    timestamptz,                         -- for 'retiring' (D18)
    created_at    timestamptz NOT NULL DEFAULT now(),
    first_used_at timestamptz
);
CREATE INDEX token_platform ON token (platform_id);

-- What happened with a platform: every step of the handshake, for `platform show` and the console.
CREATE TABLE platform_event (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    platform_id int NOT NULL REFERENCES platform ON DELETE CASCADE,
    at          timestamptz NOT NULL DEFAULT now(),
    step        text NOT NULL,
    message     text NOT NULL,
    details     jsonb
);
CREATE INDEX platform_event_platform ON platform_event (platform_id, id);
