"""gunicorn takes descriptors. Run: gunicorn --config gunicorn.conf.py wsgi_app:app"""

import os

from mphttp.socket import create_server

listener = create_server(("", int(os.environ.get("PORT", "8000"))))
bind = f"fd://{listener.detach()}"
workers = 2
