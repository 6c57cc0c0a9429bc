"""Us against our peers on the same work, in turn; `python -m benchmarks --help` says what can be measured."""
