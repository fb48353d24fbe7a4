Feature: Temporal reads
  A root's state and events can be read as they were: after one of its events, or at a moment. What is read is what a
  replay of the history up to there gives. The stock of an item writes a snapshot every four events, and keeps one each
  time that the item is closed.

  Scenario: As of an event, there is that one and those before it
    Given 10 times Restock {"count": 2} is sent to stock "item-t01"
    Then the events of stock "item-t01" as of event 5 have the sequences 0 to 5
    And the state of stock "item-t01" as of event 5 is {"count": 12}
    And the state of stock "item-t01" is {"count": 20}

  Scenario: A snapshot of the point itself, or of an event before it, leads to the same as all events
    Given 9 times Restock {"count": 1} is sent to stock "item-t02"
    Then the newest snapshot of stock "item-t02" is of event 8
    And the state of stock "item-t02" as of event 8 is {"count": 9}
    When Restock {"count": 5} is sent to stock "item-t02"
    Then the newest snapshot of stock "item-t02" is of event 8
    And the state of stock "item-t02" as of event 9 is {"count": 14}

  Scenario: A snapshot after the point does not count
    Given 9 times Restock {"count": 1} is sent to stock "item-t03"
    Then the newest snapshot of stock "item-t03" is of event 8
    And the state of stock "item-t03" as of event 7 is {"count": 8}
    And the state of stock "item-t03" as of event 0 is {"count": 1}

  Scenario: As of a time, there is what was recorded by then
    Given 3 times Restock {"count": 1} is sent to stock "item-t04"
    When 2 seconds pass
    And 6 times Restock {"count": 1} is sent to stock "item-t04"
    And 1 seconds pass
    Then the newest snapshot of stock "item-t04" is of event 8
    And the state of stock "item-t04" as of the time of event 2 is {"count": 3}
    And the state of stock "item-t04" as of 1000 ms after event 2 is {"count": 3}
    And the state of stock "item-t04" as of 1 ms before event 2 is {"count": 2}
    And the events of stock "item-t04" as of the time of event 3 have the sequences 0 to 3
    And the state of stock "item-t04" as of the time of event 8 is {"count": 9}

  Scenario: Whatever the point, the answer is that of a full replay
    Given 6 times Restock {"count": 3} is sent to stock "item-t05"
    And CloseItem {"code": "sold-out", "reason": "the season is over"} is sent to stock "item-t05"
    And 3 times Restock {"count": 1} is sent to stock "item-t05"
    When 1 seconds pass
    Then the state of stock "item-t05" as of each event is that of a replay, and so it is at the time of each

  Scenario: Of a root without events, or beyond the end, there is nothing
    Given 2 times Restock {"count": 1} is sent to stock "item-t06"
    Then stock "item-t06n" has no state as of event 5
    And stock "item-t06" has no state as of 1 ms before event 0
    And there are no events of stock "item-t06n" as of event 5
    And there are no events of stock "item-t06" from event 2 on as of event 9
    And the events of stock "item-t06" as of event 9 have the sequences 0 to 1
