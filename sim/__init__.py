"""The exchange on simulated machines: one process, virtual time, one seed.

docs/internals/simulator.md says how to read a failure, and how to add a fault, a check, a mutant.
"""
