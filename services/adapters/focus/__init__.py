"""The FOCUS export outside of the core: its charges from ClickHouse, its rows as CSV and Parquet."""
