"""Planted cheats, false gains and honest controls: what the loop makes of each, in a real run.

python -m tests.bench.claims.cheats [local|docker] [NAME ...]
"""
