"""Train the product recognition model that runs in the shop's browsers.  Stages: download, train, validate, upload."""
