"""Servers from wheels: Postgres, Temporal and its time-skipping test server, each usable alone or as one
stack.

`EmbeddedPostgres`, `DevServer` and `TimeSkippingServer` are async context managers on free loopback ports,
for tests and scenarios. `EmbeddedStack` puts Postgres, Temporal, migrations, the sandbox gateway, the codec
server and a worker together for `teiki up`: started in order with health checks, restarted when one dies,
stopped in reverse. Needs the optional dependencies `teiki[embedded]`; nothing is downloaded.
"""
