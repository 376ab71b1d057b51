"""A site's own record of what it was told and what it sent: chained, and signed with its key."""
