"""Executors on clusters of others: Dask and Ray."""
