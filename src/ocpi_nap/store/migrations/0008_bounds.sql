-- Tombstones by age: only so many of a platform are kept (store/bounds.py).
CREATE INDEX location_gone ON location (platform_id, withdrawn_at) WHERE withdrawn_at IS NOT NULL;
CREATE INDEX tariff_gone ON tariff (platform_id, withdrawn_at) WHERE withdrawn_at IS NOT NULL;
