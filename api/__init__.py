"""The farm over HTTP, for programs: under /api/v1/, with the same rights and by the same functions as the pages."""
