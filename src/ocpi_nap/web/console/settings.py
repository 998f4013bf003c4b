"""What the settings of a platform do, in groups for the form."""

from __future__ import annotations

GROUPS: dict[str, dict[str, str]] = {
    "Pulls": {
        "delta_interval_minutes": "Minutes between pulls of what changed",
        "full_interval_minutes": "Minutes between pulls of everything",
        "delta_overlap_minutes": "Minutes a delta reaches back before the last pull",
        "full_only": "Never pull deltas",
        "delta_evses_partial": "Their deltas hold only the EVSEs that changed",
        "pull_scope": "Ask for the whole platform or for each operator by itself",
        "page_size": "Objects asked for in a page",
        "send_paging_parameters": "Ask for lists with offset and limit",
        "max_pages": "Most pages of a pull",
        "max_requests_per_day": "Most requests of pulls in 24 hours, retries too (0: no limit)",
        "page_timeout_seconds": "Seconds of patience for one page",
        "crawl_minutes": "Minutes that the pull of one list may take",
    },
    "Connection": {
        "registration": "Exchange of credentials, or none where they have only a static token",
        "static_endpoints": "Endpoints instead of version details (locations=https://…, by commas; needs a version above)",
        "version_pin": "This OCPI version only (empty: the highest that both have)",
        "treat_2_2_as_2_2_1": "Take version 2.2 for 2.2.1",
        "token_encoding_fallback": "Try the other token encoding when the configured one is refused",
        "versions_auth": "Whether their versions want a token",
        "list_credentials_twice": "List our credentials endpoint in both roles",
        "extra_headers": "Further headers for their API (name=value, by commas)",
        "allowed_hosts": "Further hosts that may get the token (by commas)",
        "rotate_days": "Rotate tokens that are this many days old (0: never)",
        "inbound_limit_per_second": "Requests a worker takes from them in a second (0: no limit)",
    },
    "Data": {
        "strict_patch": "Refuse a PATCH without last_updated",
        "strict_validation": "Refuse objects that lack any required field",
        "strict_put": "A PUT Location without evses empties the list",
        "assume_publish": "Publish Locations without publish",
        "accept_announced_roles": "Take the operators in their credentials roles as well",
        "owner_rule": "Whose a pulled 2.1.1 object is",
        "naive_timezone": "Zone of their times without one",
        "publish_after_disconnect_hours": "Hours their data is shown after the connection ended",
    },
}
"""Every field of PlatformSettings once, by group; a test sees to it."""
