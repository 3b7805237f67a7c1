"""Pages that need no network and run no script: of a run, and what all pages share."""
