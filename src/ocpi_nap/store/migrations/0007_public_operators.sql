-- The event log judges locations and tariffs by the operators as it has told them. What a change of operators or platforms shows or hides is
-- found by comparing these with what is published now, and looked up by operator: its cost follows what changed.
ALTER TABLE public_operator ADD platform_id int;       -- over which it is published; null: over none any more, its rows are being removed
CREATE INDEX public_location_operator ON public_location (country_code, party_id);
CREATE INDEX public_tariff_operator ON public_tariff (country_code, party_id);

UPDATE public_operator o
   SET platform_id = (SELECT l.platform_id FROM public_location p JOIN location l ON l.pk = p.location_pk
                       WHERE p.country_code = o.country_code AND p.party_id = o.party_id LIMIT 1);
DELETE FROM public_operator WHERE platform_id IS NULL;  -- without a location: the writer of the log finds it again as it starts
