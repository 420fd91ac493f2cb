"""What the pages are made of: `templates/` (jinja2) and `static/`."""
