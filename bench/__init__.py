"""Benchmarks. Timings are told, they never pass or fail a test."""
