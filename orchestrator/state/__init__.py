"""Record who deployed what, when, and with which result, and lock environments for writing (the state service).

It is not a state file: plans do not depend on it.  ``protocol`` defines the wire types, ``server`` the HTTP API, pages
and database, ``client`` the reporting of runs.
"""
