"""The only place with SQL: stores, migrations, and the locks between processes."""
