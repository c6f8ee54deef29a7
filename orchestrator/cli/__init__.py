"""The command line: one module per command.  A command parses its options, calls the product and prints the result.

Command modules are imported when they are called, and import what they need inside functions, so that start-up is fast.
"""
