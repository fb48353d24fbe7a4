Feature: Snapshots
  A root's newest snapshot takes the place of the one before, and some are kept for ever. The stock of an item writes a
  snapshot every four events, and keeps one each time that the item is closed.

  Scenario: Newer snapshots take the place of older ones, and kept ones stay
    Given 3 times Restock {"count": 1} is sent to stock "item-s01"
    And CloseItem {"code": "late", "reason": "it is late"} is sent to stock "item-s01"
    And 9 times Restock {"count": 1} is sent to stock "item-s01"
    Then the newest snapshot of stock "item-s01" is of event 11
    And the kept snapshots of stock "item-s01" are of the events 3
    When CloseItem {"code": "gone", "reason": "it is gone"} is sent to stock "item-s01"
    Then the newest snapshot of stock "item-s01" is of event 13
    And the kept snapshots of stock "item-s01" are of the events 3, 13

  Scenario: The newest snapshot of either kind is where a state begins
    Given 2 times Restock {"count": 1} is sent to stock "item-s02"
    And CloseItem {"code": "late", "reason": "it is late"} is sent to stock "item-s02"
    And 5 times Restock {"count": 1} is sent to stock "item-s02"
    Then the newest snapshot of stock "item-s02" is of event 6
    And the state of stock "item-s02" is {"count": 7, "code": "late", "reason": "it is late"}
    And the state of stock "item-s02" as of event 4 is {"count": 4, "code": "late", "reason": "it is late"}
    And the state of stock "item-s02" as of event 2 is {"count": 2, "code": "late", "reason": "it is late"}
    And the state of stock "item-s02" as of event 1 is {"count": 2}

  Scenario: What is written of one root leaves the snapshots of all others
    Given CloseItem {"code": "late", "reason": "it is late"} is sent to stock "item-s03"
    And CloseItem {"code": "late", "reason": "it is late"} is sent to stock "item-s03b"
    When 9 times Restock {"count": 1} is sent to stock "item-s03"
    Then the newest snapshot of stock "item-s03" is of event 8
    And the kept snapshots of stock "item-s03" are of the events 0
    And the newest snapshot of stock "item-s03b" is of event 0
    And the kept snapshots of stock "item-s03b" are of the events 0
    And the state of stock "item-s03b" is {"code": "late", "reason": "it is late"}
