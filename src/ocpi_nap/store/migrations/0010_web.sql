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
