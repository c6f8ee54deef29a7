"""Container images: what goes into one (`inputs`, `ignore`, `dockerfile`, `base`), and how one is made (`builder`).

The tag of an image is the hash of its inputs, so an unchanged checkout has an image already; what is deployed is the
digest under which the registry keeps it.  May know: files, processes by ``shell``, registries by ``registry``.
May not: know AWS.
"""
