-- Which revision of the schema does the database have, and which PostgreSQL is it? One row.

SELECT (SELECT version_num FROM queue_pipeline.alembic_version) AS revision, current_setting('server_version') AS postgresql;
