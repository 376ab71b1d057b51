"""What server, link and worker say to each other about differential privacy."""
