CREATE TABLE IF NOT EXISTS player_cards_v1 (id text PRIMARY KEY, document json NOT NULL);

CREATE OR REPLACE VIEW player_cards_v1_fields AS
SELECT id,
  (document ->> 'name') AS "name",
  (document ->> 'chips')::numeric AS "chips",
  (document ->> 'ratio')::double precision AS "ratio",
  (document ->> 'active')::boolean AS "active",
  (document ->> 'worth') AS "worth",
  (document ->> 'born')::date AS "born",
  (document ->> 'joined')::timestamptz AS "joined",
  (document ->> 'style') AS "style",
  document -> 'home' AS "home",
  document -> 'seats' AS "seats",
  document -> 'tags' AS "tags",
  document -> 'notes' AS "notes"
FROM player_cards_v1;
