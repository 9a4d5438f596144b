"""gunicorn takes descriptors. Run: gunicorn --config gunicorn.conf.py wsgi_app:app"""

import os

from mphttp.socket import create_server

# A reload (SIGHUP) reads this file again, and goes on with the same descriptor.
if "MPHTTP_LISTENER" not in os.environ:
    listener = create_server(("", int(os.environ.get("PORT", "8000"))))
    os.environ["MPHTTP_LISTENER"] = str(listener.detach())
bind = f"fd://{os.environ['MPHTTP_LISTENER']}"
workers = 2
