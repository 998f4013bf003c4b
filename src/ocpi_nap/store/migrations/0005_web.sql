-- The console: who may sign in, and what was done there (room: web).

CREATE TABLE account (
    id              int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name            text NOT NULL,
    role            text NOT NULL CHECK (role IN ('viewer', 'operator', 'admin')),
    password_hash   text,                              -- argon2id; null: signs in by OpenID Connect only
    subject         text UNIQUE,                       -- issuer and subject of OpenID Connect
    totp_secret     bytea,                             -- encrypted; null: no second factor
    totp_counter    bigint NOT NULL DEFAULT 0,         -- of the last code that was used: none works twice
    disabled        boolean NOT NULL DEFAULT false,
    created_at      timestamptz NOT NULL DEFAULT now(),
    last_sign_in_at timestamptz
);
CREATE UNIQUE INDEX account_name ON account (lower(name));

CREATE TABLE console_session (
    hash       bytea PRIMARY KEY,                      -- sha256 of the cookie's value
    account_id int NOT NULL REFERENCES account ON DELETE CASCADE,
    csrf       text NOT NULL,
    stage      text NOT NULL CHECK (stage IN ('code', 'full')),  -- 'code': the password was right, the second factor is awaited
    address    text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    seen_at    timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL
);
CREATE INDEX console_session_account ON console_session (account_id);

-- What is limited by its rate: wrong passwords, checks and requests of the onboarding page.
CREATE TABLE attempt (
    key text NOT NULL,
    at  timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX attempt_key ON attempt (key, at);
CREATE INDEX attempt_at ON attempt (at);

CREATE TABLE audit (
    id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at      timestamptz NOT NULL DEFAULT now(),
    who     text NOT NULL,
    act     text NOT NULL,
    what    text NOT NULL,
    address text NOT NULL,
    details jsonb
);
CREATE INDEX audit_who ON audit (who, id);

-- What was asked for in the console and runs in the background: registration, rotation, pulls.
CREATE TABLE task (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    platform_id int NOT NULL REFERENCES platform ON DELETE CASCADE,
    kind        text NOT NULL CHECK (kind IN ('register', 'rotate', 'unregister', 'pull')),
    arguments   jsonb NOT NULL DEFAULT '{}',
    state       text NOT NULL DEFAULT 'queued' CHECK (state IN ('queued', 'running', 'done', 'failed')),
    lines       jsonb NOT NULL DEFAULT '[]',           -- ["what was said", …]
    progress    jsonb NOT NULL DEFAULT '{}',           -- of a pull: {module: counts}
    error       jsonb,                                 -- {"message","step","answer","advice"}
    asked_by    text NOT NULL,
    asked_at    timestamptz NOT NULL DEFAULT now(),
    started_at  timestamptz,
    finished_at timestamptz
);
CREATE INDEX task_platform ON task (platform_id, id DESC);

-- Counts how often the onboarding record was changed: whoever edits an older one is told.
ALTER TABLE platform ADD record_version int NOT NULL DEFAULT 0;

-- Who let a withheld mass withdrawal not count, so that the next full pull does not take it for agreed.
ALTER TABLE crawl ADD refused_by text;
CREATE INDEX crawl_history ON crawl (platform_id, id DESC);
CREATE INDEX crawl_withheld ON crawl (platform_id, module, scope, id DESC) WHERE withheld > 0;

-- Requests of platforms to us: the last one, and pushes by minute.
CREATE TABLE platform_contact (
    platform_id  int PRIMARY KEY REFERENCES platform ON DELETE CASCADE,
    last_request timestamptz NOT NULL,
    last_push    timestamptz
);
CREATE TABLE push_minute (
    platform_id int NOT NULL REFERENCES platform ON DELETE CASCADE,
    minute      timestamptz NOT NULL,
    pushes      bigint NOT NULL,
    PRIMARY KEY (platform_id, minute)
);
CREATE INDEX push_minute_age ON push_minute (minute);

-- What each operator has, counted now and then: counting takes too long for a page.
CREATE TABLE operator_count (
    platform_id  int NOT NULL REFERENCES platform ON DELETE CASCADE,
    country_code text NOT NULL,
    party_id     text NOT NULL,
    locations    bigint NOT NULL,
    evses        bigint NOT NULL,
    tariffs      bigint NOT NULL,
    withdrawn    bigint NOT NULL,
    received_at  timestamptz,
    counted_at   timestamptz NOT NULL,
    PRIMARY KEY (platform_id, country_code, party_id)
);

-- Issues by platform and rule, kept exact by the triggers below whoever writes to the table issue.
CREATE TABLE issue_group (
    platform_id int NOT NULL REFERENCES platform ON DELETE CASCADE,
    rule        text NOT NULL,
    refused     boolean NOT NULL,
    records     bigint NOT NULL,                       -- rows of issue
    count       bigint NOT NULL,                       -- occurrences
    first_seen  timestamptz NOT NULL,
    last_seen   timestamptz NOT NULL,
    object      text NOT NULL,                         -- an example: the latest
    path        text NOT NULL,
    message     text NOT NULL,
    sample      text NOT NULL,
    PRIMARY KEY (platform_id, rule, refused)
);
-- Bytewise order, whatever the database's collation: pages go on after a key, and objects are found by how their names begin.
CREATE INDEX issue_rule ON issue (platform_id, rule, refused, object COLLATE "C", path COLLATE "C");
CREATE INDEX issue_object ON issue (platform_id, object COLLATE "C", path COLLATE "C", rule COLLATE "C");

INSERT INTO issue_group
SELECT platform_id, rule, refused, count(*), sum(count), min(first_seen), max(last_seen),
       (array_agg(object ORDER BY last_seen DESC))[1], (array_agg(path ORDER BY last_seen DESC))[1],
       (array_agg(message ORDER BY last_seen DESC))[1], (array_agg(sample ORDER BY last_seen DESC))[1]
  FROM issue GROUP BY platform_id, rule, refused;

-- The lock comes after all row locks of the statement on issue: writers wait here one after another and never for each other.
CREATE FUNCTION issue_group_add() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(8421);
    INSERT INTO issue_group AS g
    SELECT platform_id, rule, refused, count(*), sum(count), min(first_seen), max(last_seen),
           (array_agg(object ORDER BY last_seen DESC))[1], (array_agg(path ORDER BY last_seen DESC))[1],
           (array_agg(message ORDER BY last_seen DESC))[1], (array_agg(sample ORDER BY last_seen DESC))[1]
      FROM new_rows GROUP BY platform_id, rule, refused
    ON CONFLICT (platform_id, rule, refused) DO UPDATE
       SET records = g.records + excluded.records, count = g.count + excluded.count,
           first_seen = least(g.first_seen, excluded.first_seen), last_seen = greatest(g.last_seen, excluded.last_seen),
           object = excluded.object, path = excluded.path, message = excluded.message, sample = excluded.sample;
    RETURN NULL;
END $$;
CREATE FUNCTION issue_group_take() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(8421);
    UPDATE issue_group g SET records = g.records - o.records, count = g.count - o.count
      FROM (SELECT platform_id, rule, refused, count(*) AS records, sum(count) AS count FROM old_rows GROUP BY 1, 2, 3) o
     WHERE g.platform_id = o.platform_id AND g.rule = o.rule AND g.refused = o.refused;
    DELETE FROM issue_group g USING (SELECT DISTINCT platform_id, rule, refused FROM old_rows) o
     WHERE g.platform_id = o.platform_id AND g.rule = o.rule AND g.refused = o.refused AND g.records <= 0;
    RETURN NULL;
END $$;
CREATE FUNCTION issue_group_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(8421);
    WITH both_rows AS (
        SELECT platform_id, rule, refused, -1 AS sign, count, first_seen, last_seen, object, path, message, sample FROM old_rows
        UNION ALL
        SELECT platform_id, rule, refused, 1, count, first_seen, last_seen, object, path, message, sample FROM new_rows
    )
    INSERT INTO issue_group AS g
    SELECT platform_id, rule, refused, sum(sign), sum(sign * count), min(first_seen), max(last_seen),
           (array_agg(object ORDER BY sign DESC, last_seen DESC))[1], (array_agg(path ORDER BY sign DESC, last_seen DESC))[1],
           (array_agg(message ORDER BY sign DESC, last_seen DESC))[1], (array_agg(sample ORDER BY sign DESC, last_seen DESC))[1]
      FROM both_rows GROUP BY platform_id, rule, refused
    ON CONFLICT (platform_id, rule, refused) DO UPDATE
       SET records = g.records + excluded.records, count = g.count + excluded.count, last_seen = greatest(g.last_seen, excluded.last_seen),
           object = excluded.object, path = excluded.path, message = excluded.message, sample = excluded.sample;
    DELETE FROM issue_group g USING (SELECT DISTINCT platform_id, rule, refused FROM old_rows) o
     WHERE g.platform_id = o.platform_id AND g.rule = o.rule AND g.refused = o.refused AND g.records <= 0;
    RETURN NULL;
END $$;
CREATE TRIGGER issue_added AFTER INSERT ON issue REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION issue_group_add();
CREATE TRIGGER issue_removed AFTER DELETE ON issue REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION issue_group_take();
CREATE TRIGGER issue_changed AFTER UPDATE ON issue REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION issue_group_change();

-- What CPOs ask on the onboarding page. Tokens are encrypted, and forgotten once the request is decided.
CREATE TABLE onboarding_request (
    id               bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    reference        text NOT NULL UNIQUE,             -- what people call it
    link             bytea NOT NULL UNIQUE,            -- sha256 of the secret in the status link
    state            text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'approved', 'refused')),
    company          text NOT NULL,
    contact          jsonb NOT NULL,                   -- {"name","email"}
    record           jsonb NOT NULL,                   -- {"country_code","party_id","operators":[…],"environments":{"test":{…}},"message"}
    test_token       bytea,
    production_token bytea,
    platforms        text[] NOT NULL DEFAULT '{}',     -- names of what it became
    reason           text,
    decided_by       text,
    decided_at       timestamptz,
    created_at       timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX onboarding_request_state ON onboarding_request (state, id);

-- The inspector finds an EVSE by the id on its label.
CREATE INDEX evse_public_id ON evse (public_id);
