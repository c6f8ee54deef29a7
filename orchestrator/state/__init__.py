"""The state-tracking service: who deployed what, when, what came of it, and who is at it now.

Never a state file: with it wiped the next plan is the same.  ``records`` are its words, ``leases`` the rules of who
writes, ``store`` the database, ``app`` the service, ``client`` how a run speaks to it.
"""
