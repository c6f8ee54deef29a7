"""The command line: one file a verb.  A verb parses, calls the pipeline and prints; it decides nothing.

Verbs are imported when they are used, and what they need when they need it: start-up is part of the product.
"""
