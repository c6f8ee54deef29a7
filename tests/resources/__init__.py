"""Cases for every resource type, as data: ``TYPE.yaml``, run by ``test_cases``."""
