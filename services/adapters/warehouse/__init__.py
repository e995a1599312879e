"""What ClickHouse can be asked: each question is a named SQL file that people can run as well."""
