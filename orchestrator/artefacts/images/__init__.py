"""Build container images (`builder`) from hashed inputs (`build_inputs`, `dockerignore`, `dockerfile`, `base_image`).

The tag of an image is the hash of its inputs, so an unchanged checkout reuses the existing image. Deployments refer to
the digest that the registry assigns. May import: files, processes through ``shell``, registries through
``registry_client``. Must not import: AWS.
"""
