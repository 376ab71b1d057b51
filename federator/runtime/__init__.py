"""What runs in the containers: the link and the worker of a site, and the server."""
