CREATE TABLE IF NOT EXISTS player_cards_v1 (id text PRIMARY KEY, document text);

CREATE OR REPLACE VIEW player_cards_v1_fields AS
SELECT id,
  document ->> 'name' AS "name",
  CASE json_typeof(document -> 'chips') WHEN 'number' THEN (document ->> 'chips')::numeric END AS "chips",
  CASE json_typeof(document -> 'ratio') WHEN 'number' THEN (document ->> 'ratio')::double precision END AS "ratio",
  CASE json_typeof(document -> 'active') WHEN 'boolean' THEN (document ->> 'active')::boolean END AS "active",
  document ->> 'worth' AS "worth",
  (document ->> 'born')::date AS "born",
  (document ->> 'joined')::timestamptz AS "joined",
  document ->> 'style' AS "style",
  document -> 'home' AS "home",
  document -> 'seats' AS "seats",
  document -> 'tags' AS "tags",
  document -> 'notes' AS "notes"
FROM (SELECT id, replace(document, '\u0000', '\ufffd')::json AS document FROM player_cards_v1) AS documents;
