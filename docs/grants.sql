-- Who may do what with the tables, as Unity Catalog grants. Run it in a Databricks SQL editor as somebody who owns the
-- catalog, the schema and the location, or has MANAGE on all three; or have each owner run the statements on theirs.
--
-- Put your names in the place of these six first, by search and replace:
--   main            the catalog, and orders the schema: INGESTION_SCHEMA is main.orders
--   order_tracking  the feed; repeat its statements for each feed
--   order-jobs      the principal of the jobs. Of a service principal it is the application id
--   order-readers   a group of people who read the table
--   order-stewards  a group of people who mend bad rows
--   orders_batches  the external location of gs://<bucket>/batches/

-- 1. The principal of the jobs: of the Airflow connection databricks_default. Run this before the first load. It owns
--    the tables that it makes, and so needs nothing on them.
GRANT USE CATALOG ON CATALOG main TO `order-jobs`;
GRANT USE SCHEMA, CREATE TABLE ON SCHEMA main.orders TO `order-jobs`;
GRANT READ FILES ON EXTERNAL LOCATION orders_batches TO `order-jobs`;

--    To erase people (docs/erasure.md), on the external locations of gs://<bucket>/erase/ and gs://<bucket>/archive/:
-- GRANT READ FILES ON EXTERNAL LOCATION orders_erase TO `order-jobs`;
-- GRANT READ FILES ON EXTERNAL LOCATION orders_archive TO `order-jobs`;

--    Only where somebody else has made the tables:
-- GRANT SELECT, MODIFY ON TABLE main.orders.order_tracking TO `order-jobs`;
-- GRANT SELECT, MODIFY ON TABLE main.orders.order_tracking_staging TO `order-jobs`;
-- GRANT SELECT, MODIFY ON TABLE main.orders.order_tracking_quarantine TO `order-jobs`;
-- GRANT SELECT, MODIFY ON TABLE main.orders.ingestion_log TO `order-jobs`;
-- GRANT SELECT, MODIFY ON TABLE main.orders.ingestion_maintenance TO `order-jobs`;
-- GRANT SELECT, MODIFY ON TABLE main.orders.order_tracking_erased TO `order-jobs`;

-- 2. Who reads the rows, and how many were loaded when. After the first load, as the tables must exist. Not SELECT on
--    the schema: that would give them quarantine and staging, which hold rows as they were delivered.
GRANT USE CATALOG ON CATALOG main TO `order-readers`;
GRANT USE SCHEMA ON SCHEMA main.orders TO `order-readers`;
GRANT SELECT ON TABLE main.orders.order_tracking TO `order-readers`;
GRANT SELECT ON TABLE main.orders.ingestion_log TO `order-readers`;

-- 3. Who mends bad rows: reads them with their reasons, and the good rows of the same batch beside them. They mend the
--    file or the feed, never a table.
GRANT USE CATALOG ON CATALOG main TO `order-stewards`;
GRANT USE SCHEMA ON SCHEMA main.orders TO `order-stewards`;
GRANT SELECT ON TABLE main.orders.order_tracking TO `order-stewards`;
GRANT SELECT ON TABLE main.orders.order_tracking_staging TO `order-stewards`;
GRANT SELECT ON TABLE main.orders.order_tracking_quarantine TO `order-stewards`;
GRANT SELECT ON TABLE main.orders.ingestion_log TO `order-stewards`;

-- Nobody needs a grant on main.orders.order_tracking_erased.

-- 4. Tags are yours: the jobs set none, and take none away. They need APPLY TAG on the table.
-- ALTER TABLE main.orders.order_tracking SET TAGS ('source' = 'order tracking', 'contains' = 'addresses');
