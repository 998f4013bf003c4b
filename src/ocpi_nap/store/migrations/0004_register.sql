-- What OCPI cannot say of operators and locations (AFIR annex), kept beside what CPOs deliver (room: registry writes, feed reads).

CREATE TABLE register (
    country_code text NOT NULL,                        -- upper case
    party_id     text NOT NULL,                        -- upper case
    location_key text NOT NULL,                        -- folded location id; '' for the operator as a whole
    location_id  text NOT NULL,                        -- as written
    field        text NOT NULL,                        -- a name of model.register.FIELDS
    value        jsonb NOT NULL,
    source       text NOT NULL,                        -- the file or whatever it was taken from
    author       text NOT NULL,                        -- who put it here
    at           timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (country_code, party_id, location_key, field)
);
