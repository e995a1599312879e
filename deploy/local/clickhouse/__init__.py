"""ClickHouse on this machine: the real engine (chDB) as a library, served over ClickHouse's own HTTP protocol.

The engine has no server mode and lets one process own a data folder. This package is that process. Services talk to
it as they talk to a ClickHouse server, with the same client and the same code; only the address differs.

Protocol: https://clickhouse.com/docs/interfaces/http. Left out: native compressed frames (`compress=1`,
`decompress=1`), external tables, roles and users other than `default`, progress headers.
"""
