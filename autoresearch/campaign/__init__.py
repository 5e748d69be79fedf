"""Many topics, night after night, under shared budgets: every run is one like any other.

matrix     campaign.toml: which topics, what may be spent, when to stop
planning   what a night sets out to do, and what it is likely to take
night      doing it; `jobs` one run at a time, `purse` within the budgets
nights     the directory that remembers
"""
