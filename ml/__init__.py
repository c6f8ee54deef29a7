"""From product photos to a model that the shop's browser runs.  Stages: download, train, validate, upload."""
