"""What people see in a browser: the public pages and the operator console, rendered on the server.

`site.create_site` makes the application; `pages.Pages` renders templates, `assets.Assets` serves static files by content hash, `texts`
holds the public pages' words in three languages, and `static/style.css` the one design.
"""
