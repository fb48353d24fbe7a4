CREATE TABLE IF NOT EXISTS HEADRACE.PUBLIC.PLAYER_CARDS_V1_LOG (RECORD_METADATA VARIANT, RECORD_CONTENT VARIANT);

CREATE OR REPLACE VIEW HEADRACE.PUBLIC.PLAYER_CARDS_V1 AS
SELECT document_id, document,
  document:"name"::VARCHAR AS "name",
  TRY_CAST(document:"chips"::VARCHAR AS NUMBER(38, 0)) AS "chips",
  TRY_CAST(document:"ratio"::VARCHAR AS FLOAT) AS "ratio",
  TRY_TO_BOOLEAN(document:"active"::VARCHAR) AS "active",
  document:"worth"::VARCHAR AS "worth",
  TRY_CAST(document:"born"::VARCHAR AS DATE) AS "born",
  TRY_CAST(document:"joined"::VARCHAR AS TIMESTAMP_TZ) AS "joined",
  document:"style"::VARCHAR AS "style",
  document:"home" AS "home",
  document:"seats" AS "seats",
  document:"tags" AS "tags",
  document:"notes" AS "notes"
FROM (
  SELECT RECORD_METADATA:key::VARCHAR AS document_id, RECORD_CONTENT AS document,
    ROW_NUMBER() OVER (PARTITION BY RECORD_METADATA:partition::NUMBER, RECORD_METADATA:key::VARCHAR ORDER BY RECORD_METADATA:offset::NUMBER DESC) AS age
  FROM HEADRACE.PUBLIC.PLAYER_CARDS_V1_LOG
) AS latest
WHERE age = 1 AND ARRAY_SIZE(OBJECT_KEYS(document)) > 0;
